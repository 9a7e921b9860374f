// What went wrong, in a sentence.

import { Problem } from "./api.js";
import { t } from "./i18n.js";

/** Says an error; the API's own details are sentences already. */
export function sayProblem(error) {
  if (!(error instanceof Problem)) throw error;
  return error.isUnreachable ? t("problem.unreachable") : error.message;
}
