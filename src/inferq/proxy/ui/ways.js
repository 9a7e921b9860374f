// Where jobs move in the picture: the ways between its boxes.

const TURN = 18; // where ways part, before a box
const EDGE = 12; // between the side of a box and what is in it
const STEP = 11; // from one mark that stands to the next, pixels

/** The ways between the boxes as they lie now, in pixels of the stage. */
export class Ways {
  #slots;
  #places;

  constructor(stage, lanes, rows, ended) {
    const origin = stage.getBoundingClientRect();
    const rect = (element) => {
      const box = element.getBoundingClientRect();
      return {
        left: box.left - origin.left,
        right: box.right - origin.left,
        top: box.top - origin.top,
        bottom: box.bottom - origin.top,
        x: (box.left + box.right) / 2 - origin.left,
        y: (box.top + box.bottom) / 2 - origin.top,
      };
    };
    const find = (name) => rect(stage.querySelector(`.node.${name}`));
    this.isNarrow = find("queue").top > find("clients").bottom;
    this.clients = find("clients");
    this.proxy = find("proxy");
    this.queue = find("queue");
    this.workers = find("workers");
    this.lanes = new Map([...lanes].map(([name, lane]) => [name, rect(lane.track)]));
    this.rows = new Map([...rows].map(([name, row]) => [name, rect(row.track)]));
    this.floor = rect(ended).y; // results go back along it
    this.exit = this.workers.right - EDGE;
    this.#slots = mapValues(this.lanes, (lane) => divide(lane, lane.right - STEP / 1.4, -STEP));
    this.#places = mapValues(this.rows, (row) => divide(row, row.left + STEP / 1.4, STEP));
  }

  /** Places for waiting jobs in a model's lane, the next one first. */
  slots(model) {
    return this.#slots.get(model) ?? [];
  }

  /** Places for running jobs at a worker. */
  places(worker) {
    return this.#places.get(worker) ?? [[this.workers.x, this.workers.y]];
  }

  /** From the clients through the proxy into a lane. */
  toQueue(model, end) {
    const lane = this.lanes.get(model) ?? this.queue;
    const entry = this.isNarrow
      ? [
          [this.proxy.x, this.proxy.y],
          [this.proxy.x, this.proxy.bottom],
          [this.proxy.x, this.queue.top],
        ]
      : [
          [this.proxy.right, this.proxy.y],
          [this.queue.left - TURN, this.proxy.y],
          [this.queue.left - TURN, lane.y],
        ];
    return [[this.clients.right - 8, this.clients.y], ...entry, [lane.left, lane.y], end];
  }

  /** From a lane to a worker. */
  toWorker(model, worker, start, end) {
    const lane = this.lanes.get(model) ?? this.queue;
    const row = this.rows.get(worker) ?? this.workers;
    const between = this.isNarrow
      ? [
          [this.queue.x, this.queue.bottom],
          [this.workers.x, this.workers.top],
        ]
      : [
          [lane.right, lane.y],
          [this.queue.right + TURN, lane.y],
          [this.queue.right + TURN, this.queue.y],
          [this.workers.left - TURN, this.queue.y],
          [this.workers.left - TURN, row.y],
          [row.left, row.y],
        ];
    return [start, ...between, end];
  }

  /** From a worker back to the clients. */
  toClients(start) {
    if (this.isNarrow) {
      const gutter = this.workers.left - 9;
      return [start, [gutter, start[1]], [gutter, this.clients.y], [this.clients.left, this.clients.y]];
    }
    return [
      start,
      [this.exit, start[1]],
      [this.exit, this.floor],
      [this.clients.x, this.floor],
      [this.clients.x, this.clients.bottom],
    ];
  }

  /** Draws the lines that stay. */
  paint(context, colors) {
    context.strokeStyle = colors["line-strong"];
    context.lineWidth = 1.5;
    const { clients, proxy, queue, workers } = this;
    paintArrow(context, [
      [clients.right, clients.y],
      [proxy.left, proxy.y],
    ]);
    if (this.isNarrow) {
      paintArrow(context, [
        [proxy.x, proxy.bottom],
        [proxy.x, queue.top],
      ]);
      paintArrow(context, [
        [queue.x, queue.bottom],
        [workers.x, workers.top],
      ]);
      const gutter = workers.left - 9;
      paintArrow(context, [
        [workers.left, workers.y],
        [gutter, workers.y],
        [gutter, clients.y],
        [clients.left, clients.y],
      ]);
    } else {
      paintLine(context, [
        [proxy.right, proxy.y],
        [queue.left - TURN, proxy.y],
      ]);
      paintLine(context, [
        [queue.right + TURN, queue.y],
        [workers.left - TURN, queue.y],
      ]);
      for (const { y } of this.lanes.size ? this.lanes.values() : [proxy]) {
        paintArrow(context, [
          [queue.left - TURN, proxy.y],
          [queue.left - TURN, y],
          [queue.left, y],
        ]);
        paintLine(context, [
          [queue.right, y],
          [queue.right + TURN, y],
          [queue.right + TURN, queue.y],
        ]);
      }
      for (const { y } of this.rows.size ? this.rows.values() : [queue]) {
        paintArrow(context, [
          [workers.left - TURN, queue.y],
          [workers.left - TURN, y],
          [workers.left, y],
        ]);
      }
      paintArrow(context, [
        [this.exit, workers.bottom],
        [this.exit, this.floor],
        [clients.x, this.floor],
        [clients.x, clients.bottom],
      ]);
    }
  }
}

function divide(box, first, step) {
  const count = Math.max(1, Math.floor((box.right - box.left - 4) / STEP));
  return Array.from({ length: count }, (_, index) => [first + index * step, box.y]);
}

function mapValues(map, change) {
  return new Map([...map].map(([key, value]) => [key, change(value)]));
}

function paintLine(context, points) {
  context.beginPath();
  context.moveTo(...points[0]);
  for (const point of points.slice(1)) context.lineTo(...point);
  context.stroke();
}

function paintArrow(context, points) {
  paintLine(context, points);
  context.beginPath();
  const [[x0, y0], [x, y]] = points.slice(-2);
  const angle = Math.atan2(y - y0, x - x0);
  for (const side of [2.6, -2.6]) {
    context.moveTo(x, y);
    context.lineTo(x + 7 * Math.cos(angle + side), y + 7 * Math.sin(angle + side));
  }
  context.stroke();
}
