/** Queues chosen nodes of the graph and follows what the server tells about them. */
import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

const ENDS = ["execution_success", "execution_error", "execution_interrupted"];

/**
 * Run what the targets need, and nothing else; resolves to { state, message }.
 *
 * watched  the node whose previews and text are told, as { picture } and { text }
 * state    "done", "failed" or "cancelled"
 */
export async function runStep({ targets, watched, tell, started }) {
  const listeners = [];
  const listen = (name, heard) => {
    api.addEventListener(name, heard);
    listeners.push([name, heard]);
  };
  let prompt = null;
  let finish;
  const ended = new Promise((resolve) => (finish = resolve));
  const isOurs = ({ nodeId, promptId, jobId }) =>
    `${nodeId}` === `${watched.id}` && (!prompt || [undefined, prompt].includes(promptId ?? jobId));
  listen("b_preview_with_metadata", ({ detail }) => {
    if (isOurs(detail)) tell({ picture: detail.blob });
  });
  listen("progress_text", ({ detail }) => {
    if (isOurs(detail)) tell({ text: detail.text });
  });
  listen("progress", ({ detail }) => {
    if (detail.prompt_id === prompt && detail.max) tell({ share: detail.value / detail.max });
  });
  // An end may come before the answer that says which prompt this is.
  const ends = [];
  const look = () => {
    const end = prompt && ends.find(({ detail }) => detail?.prompt_id === prompt);
    if (end) finish(outcomeOf(end));
  };
  for (const name of ENDS) {
    listen(name, (event) => {
      ends.push(event);
      look();
    });
  }
  try {
    const graph = app.rootGraph ?? app.graph;
    const request = await app.graphToPrompt(graph);
    const partialExecutionTargets = targets.map((node) => `${node.id}`);
    const answer = await api.queuePrompt(0, request, { partialExecutionTargets });
    prompt = answer.prompt_id;
    started(() => cancel(prompt, finish));
    look();
    return await ended;
  } catch (error) {
    return { state: "failed", message: refusalOf(error) };
  } finally {
    for (const [name, heard] of listeners) api.removeEventListener(name, heard);
  }
}

/** Stop a prompt that runs, or take it out of the queue, of which the server tells nothing. */
async function cancel(prompt, finish) {
  const body = JSON.stringify({ delete: [prompt] });
  const headers = { "Content-Type": "application/json" };
  await api.fetchApi("/queue", { method: "POST", headers, body });
  const { queue_running: running = [] } = await (await api.fetchApi("/queue")).json();
  if (running.some((entry) => entry[1] === prompt)) await api.interrupt(prompt);
  else finish({ state: "cancelled" });
}

function outcomeOf({ type, detail }) {
  if (type === "execution_success") return { state: "done" };
  if (type === "execution_interrupted") return { state: "cancelled" };
  return { state: "failed", message: `${detail?.exception_message ?? ""}`.trim() };
}

/** What the server had against a prompt, in its own words. */
function refusalOf(error) {
  const answer = error?.response ?? {};
  const nodes = Object.values(answer.node_errors ?? {}).flatMap((node) => node?.errors ?? []);
  const said = nodes.map((each) => [each.message, each.details].filter(Boolean).join(": "));
  return said.join("\n") || answer.error?.message || `${error?.message ?? error}`;
}
