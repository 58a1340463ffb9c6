// Requests to the server. Paths are relative, so that the page works behind a prefix too.

let key = "";

export function useKey(value) {
  key = value.trim();
}

/** What went wrong: `code` names it in words.js, `detail` is what the server said. */
export class Problem extends Error {
  constructor(code, detail = "") {
    super(detail || code);
    this.code = code;
    this.detail = detail;
  }
}

/** Fetch; the answer is a good one, else this throws a Problem (or AbortError). */
export async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.Authorization = `Bearer ${key}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(error instanceof TypeError ? "unreachable" : "other", error.message);
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

/** Ask for speech; the answer's body streams s16le samples, one channel. */
export const speech = (body, signal) =>
  ask("v1/audio/speech", {
    method: "POST", signal, body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
  });

async function problemOf(answer) {
  const body = await answer.json().catch(() => null);
  const error = body?.error ?? {};
  const detail = error.message ?? `${answer.status} ${answer.statusText}`;
  let code = answer.status === 401 ? "invalid_api_key" : error.code ?? "other";
  if (code === "invalid_value" && error.param === "input") code = /at most/.test(detail) ? "too_long" : "no_text";
  return new Problem(code, detail);
}
