/** Exports the turns up to one: as a picture strip, as a workflow, or as a context file. */
import { api } from "../../../scripts/api.js";
import { openDialog } from "./dialog.js";
import { element } from "./element.js";
import { excerptOf } from "./excerpt.js";
import { rootGraph } from "./graph.js";
import { runStep } from "./running.js";
import { pathTo } from "./store.js";
import { drawStrip } from "./strip.js";
import { text } from "./texts.js";
import { PREFIX, findSource } from "./upstream.js";

/** Ask in which of the three ways to export the turns up to one. */
export function openExport(store, turn, actions) {
  const row = store.forest().rows.find(({ digest }) => digest === turn.digest);
  const path = pathTo(row);
  const status = element("p", { class: "ming-status", role: "status", "aria-live": "polite" });
  const name = `ming ${path.length > 1 ? `turns 1-${path.length}` : "turn 1"}`;
  const strip = async () => download(await drawStrip(path, actions.pictureUrl), `${name}.png`);
  const ways = [
    ["strip", "stripExport", strip],
    ["workflow", "workflowExport", () => download(workflowOf(store, row), `${name}.json`)],
    ["context", "contextExport", () => downloadContext(store, row)],
  ];
  let isBusy = false;
  const start = async (work) => {
    if (isBusy) return;
    isBusy = true;
    status.textContent = text("working");
    try {
      status.textContent = await work();
    } catch (error) {
      status.textContent = error.message;
    }
    isBusy = false;
  };
  const choices = ways.map(([way, label, work], i) =>
    element(
      "div",
      { class: "ming-way" },
      element("button", {
        type: "button",
        autofocus: i === 0,
        text: text(label),
        "data-action": way,
        on: { click: () => start(work) },
      }),
      element("span", { text: text(`${way}Hint`) }),
    ),
  );
  openDialog(text("exportTitle", row.number), ...choices, status);
}

/** The source of a turn in the open graph; throws what is to be told where there is none. */
function sourceOf(store, row) {
  const source = findSource(store, row);
  const isElsewhere = !source.problem && source.node.graph !== rootGraph();
  const problem = source.problem ?? (isElsewhere ? "insideSubgraph" : null);
  if (problem) throw new Error(text(problem, row.number));
  return source;
}

function workflowOf(store, row) {
  const { node, slot, timeline } = sourceOf(store, row);
  const saved = JSON.parse(JSON.stringify(rootGraph().serialize()));
  // Newer frontends have texts as ids in the graph, and numbers in what they save.
  const idOf = (live) => saved.nodes.find(({ id }) => `${id}` === `${live.id}`).id;
  const excerpt = excerptOf(saved, { id: idOf(node), slot }, idOf(timeline));
  return new Blob([JSON.stringify(excerpt, null, 1)], { type: "application/json" });
}

/** Save Latent Context runs without being in the graph; its file is then downloaded. */
async function downloadContext(store, row) {
  const { node, slot } = sourceOf(store, row);
  const id = `ming_context_${Date.now()}`; // a new one each time, or the server would do nothing
  const inputs = { context: [`${node.id}`, slot], filename_prefix: "ming/context" };
  let saved = "";
  const { state, message } = await runStep({
    targets: [id],
    watched: [id],
    extra: { [id]: { class_type: `${PREFIX}SaveContext`, inputs, _meta: { title: "Export" } } },
    tell: ({ output }) => (saved = output?.text?.[0] ?? saved),
  });
  if (state !== "done" || !saved) throw new Error(message || text("failed"));
  const [path] = saved.split(" [");
  const parts = path.split("/");
  const filename = parts.pop();
  const query = new URLSearchParams({ filename, subfolder: parts.join("/"), type: "output" });
  save(api.apiURL(`/view?${query}`), filename);
  return text("contextSaved", path);
}

function download(blob, name) {
  const url = URL.createObjectURL(blob);
  save(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  return text("downloaded", name);
}

function save(href, name) {
  const link = element("a", { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}
