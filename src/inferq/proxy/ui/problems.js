// What went wrong, in a sentence.

import { Problem } from "./api.js";
import { t } from "./i18n.js";

/** Lets an error of the API pass, which is said elsewhere on the page; any other is a fault of ours. */
export function allowProblem(error) {
  if (!(error instanceof Problem)) throw error;
}

/** Says an error; the API's own details are sentences already. */
export function sayProblem(error) {
  allowProblem(error);
  return error.isUnreachable ? t("problem.unreachable") : error.message;
}
