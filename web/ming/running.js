/** Queues chosen nodes of the graph and follows what the server tells about them. */
import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { rootGraph } from "./graph.js";
import { text } from "./texts.js";

const ENDS = ["execution_success", "execution_error", "execution_interrupted"];
const CANCEL_AGAIN = 500; // ms

/**
 * Run what the targets need, and nothing else; resolves to { state, message }.
 *
 * targets  nodes, or ids of `extra`
 * watched  nodes whose news are told, each with the place of its node here: { picture }, { text },
 *          { share } of the work and { output }
 * extra    nodes to run that are not in the graph, as the server takes them, by id
 * state    "done", "failed" or "cancelled"
 */
export async function runStep({ targets, watched, tell, started, extra = {} }) {
  const listeners = [];
  const listen = (name, heard) => {
    api.addEventListener(name, heard);
    listeners.push([name, heard]);
  };
  let prompt = null;
  let finish;
  const ended = new Promise((resolve) => (finish = resolve));
  const ids = watched.map((node) => `${node.id ?? node}`);
  const news = (node, of, what) => {
    const place = ids.indexOf(`${node}`);
    if (place >= 0 && (!prompt || [undefined, null, prompt].includes(of))) tell(what, place);
  };
  listen("b_preview_with_metadata", ({ detail }) =>
    news(detail.nodeId, detail.promptId ?? detail.jobId, { picture: detail.blob }),
  );
  listen("progress_text", ({ detail }) =>
    news(detail.nodeId, detail.promptId ?? detail.jobId, { text: detail.text }),
  );
  listen("progress", ({ detail }) => {
    if (detail.max) news(detail.node, detail.prompt_id, { share: detail.value / detail.max });
  });
  listen("executed", ({ detail }) => news(detail.node, detail.prompt_id, { output: detail.output }));
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
  listen("reconnecting", () => tell({ text: text("waiting") }, 0));
  // Of a prompt that somebody else took out of the queue, or that a restart lost, nothing is told.
  for (const name of ["reconnected", "status"]) {
    listen(name, async () => {
      const outcome = prompt && (await askFor(prompt));
      if (outcome) finish(outcome);
    });
  }
  try {
    const request = await app.graphToPrompt(rootGraph());
    request.output = { ...request.output, ...extra };
    const partialExecutionTargets = targets.map((node) => `${node.id ?? node}`);
    const how = { partialExecutionTargets, previewMethod: previewMethod() };
    const answer = await api.queuePrompt(0, request, how);
    prompt = answer.prompt_id;
    started?.(() => cancel(prompt, finish));
    look();
    return await ended;
  } catch (error) {
    return { state: "failed", message: refusalOf(error) };
  } finally {
    for (const [name, heard] of listeners) api.removeEventListener(name, heard);
  }
}

/** How the picture is shown growing: as the user has it; where nothing is chosen, it is shown. */
function previewMethod() {
  const chosen = app.extensionManager?.setting?.get?.("Comfy.Execution.PreviewMethod");
  return chosen && chosen !== "default" ? chosen : "auto";
}

/** Stop a prompt that runs, or take it out of the queue, of which the server tells nothing. */
async function cancel(prompt, finish) {
  const body = JSON.stringify({ delete: [prompt] });
  const headers = { "Content-Type": "application/json" };
  try {
    await api.fetchApi("/queue", { method: "POST", headers, body });
    let { running } = await queued();
    if (!running.includes(prompt)) return finish({ state: "cancelled" });
    // A host forgets what interrupts a prompt that it has taken up but not begun: asked until it ends.
    while (running.includes(prompt)) {
      await api.interrupt(prompt);
      await new Promise((resolve) => setTimeout(resolve, CANCEL_AGAIN));
      ({ running } = await queued());
    }
  } catch {
    finish({ state: "failed", message: text("unreachable") });
  }
}

async function queued() {
  const queue = await (await api.fetchApi("/queue")).json();
  const ids = (entries) => (entries ?? []).map((entry) => entry[1]);
  return { running: ids(queue.queue_running), pending: ids(queue.queue_pending) };
}

/** What became of a prompt of which nothing was heard; null while it goes on. */
async function askFor(prompt) {
  try {
    const { running, pending } = await queued();
    if ([...running, ...pending].includes(prompt)) return null;
    const { [prompt]: entry } = await (await api.fetchApi(`/history/${prompt}`)).json();
    if (!entry) return { state: "failed", message: text("lost") };
    const end = entry.status?.messages?.findLast(([name]) => ENDS.includes(name));
    return end ? outcomeOf({ type: end[0], detail: end[1] }) : null;
  } catch {
    return null;
  }
}

function outcomeOf({ type, detail }) {
  if (type === "execution_success") return { state: "done" };
  if (type === "execution_interrupted") return { state: "cancelled" };
  return { state: "failed", message: `${detail?.exception_message ?? ""}`.trim() };
}

/** What the server had against a prompt, in its own words. */
function refusalOf(error) {
  const isUnheard = error instanceof TypeError && /fetch|network/i.test(error.message);
  if (isUnheard) return text("unreachable");
  const answer = error?.response ?? {};
  const nodes = Object.values(answer.node_errors ?? {}).flatMap((node) => node?.errors ?? []);
  const said = nodes.map((each) => [each.message, each.details].filter(Boolean).join(": "));
  return said.join("\n") || answer.error?.message || `${error?.message ?? error}`;
}
