// The jobs that the picture draws one by one: where each is, and how far on its way.

const MOST_MARKS = 200;
const LEG_SECONDS = 0.75;
const HURRIED_SECONDS = 0.4; // where a job has gone on meanwhile
const SPREAD_SECONDS = 0.2; // changes come five times a second; marks of one set off one after the other
const STAGES = { pending: 1, processing: 2, completed: 3, failed: 3 };

/** Draws the mark of a status: each has a shape of its own, too. */
export function paintMark(context, status, x, y, colors, radius = 4) {
  context.lineWidth = 1.75;
  context.strokeStyle = context.fillStyle = colors[status];
  context.beginPath();
  if (status === "failed") {
    context.moveTo(x - radius, y - radius);
    context.lineTo(x + radius, y + radius);
    context.moveTo(x + radius, y - radius);
    context.lineTo(x - radius, y + radius);
    context.stroke();
  } else if (status === "completed") {
    context.moveTo(x - radius, y);
    context.lineTo(x - radius / 4, y + radius * 0.8);
    context.lineTo(x + radius, y - radius * 0.8);
    context.stroke();
  } else {
    context.arc(x, y, radius - 0.75, 0, 2 * Math.PI);
    if (status === "processing") context.fill();
    context.stroke();
  }
}

/** Marks by job, at most MOST_MARKS of them and those of the reader's own jobs. */
export class MarkStore {
  own = new Set();
  #marks = new Map();

  /**
   * Takes note of a job's status.
   * @param {{job_id: string, model: string, status: string}} job
   * @param {string[]} workers those in the picture that serve its model; a job that runs is drawn at one of them
   */
  see(job, workers) {
    let mark = this.#marks.get(job.job_id);
    if (!mark) {
      const isOwn = this.own.has(job.job_id);
      if (this.#marks.size >= MOST_MARKS && !isOwn) return;
      mark = {
        model: job.model,
        worker: workers[hash(job.job_id) % workers.length],
        label: isOwn ? job.job_id.slice(0, 6) : "",
        stage: 0, // where it has arrived
        goal: 0,
        status: "pending",
        begun: performance.now() / 1000 + (isOwn ? 0 : Math.random() * SPREAD_SECONDS),
      };
      this.#marks.set(job.job_id, mark);
    }
    const goal = STAGES[job.status];
    if (goal < mark.goal && mark.goal === 3) return;
    if (goal < mark.stage) mark.stage = goal; // it was given back to the queue
    mark.goal = goal;
    mark.final = job.status;
  }

  /** Drops marks that stand still where, by the true numbers, fewer jobs are. */
  settle(snapshot) {
    for (const model of snapshot.models) {
      const { high, normal, low } = model.waiting;
      this.#drop("pending", model.model, high + normal + low + model.retrying);
      this.#drop("processing", model.model, model.running);
    }
  }

  #drop(status, model, most) {
    const parked = [...this.#marks].filter(
      ([, mark]) => mark.model === model && isParked(mark, STAGES[status]),
    );
    for (const [jobId] of parked.slice(0, Math.max(0, parked.length - most))) this.#marks.delete(jobId);
  }

  /** How many marks of a model stand still in a status. */
  countParked(status, model) {
    let count = 0;
    for (const mark of this.#marks.values()) count += mark.model === model && isParked(mark, STAGES[status]);
    return count;
  }

  /** Draws all; returns whether any of them moves. */
  paint(context, colors, ways, now) {
    const seconds = now / 1000;
    const queued = new Map();
    const running = new Map();
    let isMoving = false;
    for (const [jobId, mark] of this.#marks) {
      const slots = ways.slots(mark.model);
      const places = ways.places(mark.worker);
      const isQueued = mark.stage === 0 || isParked(mark, 1);
      const ahead = isQueued ? next(queued, mark.model, true) : 0; // the first one leaves
      const slot = slots[Math.min(ahead, slots.length - 1)] ?? [ways.queue.x, ways.queue.y];
      const place = places[next(running, mark.worker, mark.stage === 2 || mark.goal >= 2) % places.length];
      let progress = 1;
      if (mark.stage < mark.goal) {
        const length = mark.goal - mark.stage > 1 ? HURRIED_SECONDS : LEG_SECONDS;
        progress = (seconds - mark.begun) / length;
        isMoving = true;
        if (progress >= 1) {
          mark.stage += 1;
          mark.begun = seconds;
          progress = mark.stage < mark.goal ? 0 : 1;
          if (mark.stage === 3) {
            this.#marks.delete(jobId);
            continue;
          }
        }
      }
      if (progress < 0) continue;
      const [x, y] = locate(mark, ways, slot, place, ease(progress));
      const status = ["pending", "processing", mark.final][
        mark.stage < mark.goal ? mark.stage : mark.stage - 1
      ];
      if (mark.label) paintOwn(context, colors, mark.stage < mark.goal ? mark.label : "", x, y);
      paintMark(context, status, x, y, colors, mark.label ? 5 : 4);
    }
    return isMoving;
  }
}

function isParked(mark, stage) {
  return mark.stage === stage && mark.goal === stage;
}

function next(counts, key, isCounted) {
  const count = counts.get(key) ?? 0;
  if (isCounted) counts.set(key, count + 1);
  return count;
}

function locate(mark, ways, slot, place, progress) {
  if (mark.stage === mark.goal) return mark.stage === 1 ? slot : place;
  if (mark.stage === 0) return along(ways.toQueue(mark.model, slot), progress);
  if (mark.stage === 1) return along(ways.toWorker(mark.model, mark.worker, slot, place), progress);
  return along(ways.toClients(place), progress);
}

// the point at a share of the length of a line
function along(points, share) {
  const lengths = points
    .slice(1)
    .map(([x, y], index) => Math.hypot(x - points[index][0], y - points[index][1]));
  let left = share * lengths.reduce((sum, length) => sum + length, 0);
  for (const [index, length] of lengths.entries()) {
    if (left <= length && length > 0) {
      const [[x0, y0], [x, y]] = [points[index], points[index + 1]];
      return [x0 + ((x - x0) * left) / length, y0 + ((y - y0) * left) / length];
    }
    left -= length;
  }
  return points.at(-1);
}

function ease(progress) {
  return progress < 0.5 ? 2 * progress ** 2 : 1 - 2 * (1 - progress) ** 2;
}

function hash(text) {
  let value = 7;
  for (let index = 0; index < text.length; index += 1) value = (value * 31 + text.charCodeAt(index)) >>> 0;
  return value;
}

function paintOwn(context, colors, label, x, y) {
  context.beginPath();
  context.arc(x, y, 9, 0, 2 * Math.PI);
  context.fillStyle = colors.surface;
  context.fill();
  context.lineWidth = 2;
  context.strokeStyle = colors.accent;
  context.stroke();
  if (!label) return;
  context.fillStyle = colors.ink;
  context.font = "600 11px ui-monospace, monospace";
  context.textAlign = "center";
  context.fillText(label, x, y - 14);
}
