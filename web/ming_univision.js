/**
 * The browser side of the pack: the Context Timeline in its node and in the sidebar, and file
 * names with the date in them.
 *
 * Plain modules, no build step, nothing fetched from elsewhere. Hooks are chained on the nodes
 * themselves; no prototype is touched.
 */
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { copyText, insertEditStep, showNode, tell } from "./ming/actions.js";
import { openComparison } from "./ming/compare.js";
import { Composer } from "./ming/composer.js";
import { askFor } from "./ming/dialog.js";
import { attach, element } from "./ming/element.js";
import { openExport } from "./ming/export.js";
import { conversationsFromHistory } from "./ming/history.js";
import { labelsOf, nameBranch } from "./ming/naming.js";
import { fillPrefix } from "./ming/prefix.js";
import { readConversations } from "./ming/records.js";
import { TimelineStore } from "./ming/store.js";
import { isChinese, text } from "./ming/texts.js";
import { originOf } from "./ming/upstream.js";
import { TimelineView } from "./ming/view.js";
import { keepAsSaved } from "./ming/younger.js";

const NODE = "MingUniVision_ContextTimeline";
const TAB = "ming-univision-timeline";
const MIN_HEIGHT = 240;
const SIZE = [400, 460]; // of a new node

const store = new TimelineStore();

const actions = {
  copy: (turn) => copyText(turn.prompt),
  edit: (turn) => insertEditStep(store, turn),
  compare: (left, right) => openComparison(store.forest(), labelsOf(store), [left, right], actions),
  name: (turn) => askName(turn),
  export: (turn) => openExport(store, turn, actions),
  keep: (turn) => sidebar.composer.keep(turn),
  show: (turn) => showNode(turn.homes[0].conversation.node),
  pictureUrl: (file) => api.apiURL(`/view?${new URLSearchParams(file)}`),
};

/** Ask what the branch of a turn is to be called; returns what to say about it. */
async function askName(turn) {
  const { words, isNamed } = labelsOf(store).get(turn.digest) ?? {};
  const name = await askFor(text("nameTitle"), text("nameLabel"), isNamed ? words : "");
  if (name === null) return "";
  const { problem } = nameBranch(store, turn, name);
  if (problem) return text(problem, turn.number);
  return name.trim() ? text("named", name.trim()) : text("unnamed");
}

/** Give a new Timeline node its panel, and listen to what it is told. */
function furnish(node) {
  const view = new TimelineView({ actions, store, node });
  const widget = node.addDOMWidget("timeline", "MING_TIMELINE", view.root, {
    getValue: () => "",
    setValue: () => {},
    getMinHeight: () => MIN_HEIGHT,
    hideOnZoom: false,
    margin: 6,
    serialize: false, // not in the prompt
  });
  widget.serialize = false; // nor in the saved workflow
  node.setSize?.([SIZE[0], Math.max(SIZE[1], node.size[1])]); // a saved size comes after this
  store.add(node);

  const { onExecuted, onRemoved } = node;
  node.onExecuted = function (output, ...rest) {
    if (output?.ming_timeline) store.set(node, readConversations(output.ming_timeline), output);
    return onExecuted?.call(this, output, ...rest);
  };
  node.onRemoved = function (...rest) {
    store.remove(node);
    view.destroy();
    return onRemoved?.apply(this, rest);
  };
}

/** Fill nodes that have nothing to show from what the server remembers. */
async function recall() {
  const waiting = store.nodes().filter((node) => !store.has(node));
  if (!waiting.length) return;
  try {
    const answer = await api.fetchApi("/history?max_items=64");
    const history = answer.ok ? await answer.json() : {};
    for (const node of waiting) {
      const origin = originOf(node, "context")?.node;
      const wanted = { node, origin, workflowId: app.graph?.id, classType: NODE };
      const output = conversationsFromHistory(history, wanted);
      if (output && !store.has(node)) {
        store.set(node, readConversations(output.ming_timeline), output);
      }
    }
  } catch (error) {
    console.warn("Ming-UniVision: the history could not be read.", error);
  }
}

/** What the sidebar shows; it stays while the sidebar is closed, with what runs and can be undone. */
let sidebar = null;
function makeSidebar() {
  const view = new TimelineView({ actions, store, node: null });
  const composer = new Composer({ store, view, pictureUrl: actions.pictureUrl });
  const heading = element("h2", { text: text("title") });
  const root = element("div", { class: "ming-sidebar" }, heading, view.root, composer.root);
  return { view, composer, root, isChinese: isChinese() };
}

/** The host may call this more than once for the same place. */
function renderSidebar(place) {
  const isOld = sidebar && sidebar.isChinese !== isChinese() && !sidebar.composer.isBusy;
  if (isOld) sidebar.view.destroy();
  if (!sidebar || isOld) sidebar = makeSidebar();
  if (place.contains(sidebar.root)) return;
  place.replaceChildren(sidebar.root);
  requestAnimationFrame(() => sidebar.view.choose(sidebar.view.current));
}

app.registerExtension({
  name: "MingUniVision.Timeline",
  keybindings: [
    { commandId: "MingUniVision.ToggleTimeline", combo: { key: "u", alt: true, shift: true } },
  ],
  commands: [
    {
      id: "MingUniVision.ToggleTimeline",
      label: "Ming-UniVision: show or hide the Context Timeline",
      icon: "pi pi-comments",
      function: async () => {
        await app.extensionManager.command.execute(`Workspace.ToggleSidebarTab.${TAB}`);
        setTimeout(() => sidebar?.composer.line.focus(), 100); // once it is shown, if it is
      },
    },
    {
      id: "MingUniVision.CompareBranches",
      label: "Ming-UniVision: compare two branches of the conversation",
      icon: "pi pi-clone",
      function: () => {
        const tips = store.forest().tips;
        if (tips.length < 2) tell("info", text("nothingToCompare"));
        else actions.compare(tips[0], tips[1]);
      },
    },
  ],
  setup() {
    attach(new URL("./ming/timeline.css", import.meta.url));
    app.extensionManager?.registerSidebarTab?.({
      id: TAB,
      icon: "pi pi-comments",
      title: text("tab"),
      tooltip: text("title"),
      type: "custom",
      render: renderSidebar,
      destroy: () => sidebar?.root.remove(),
    });
  },
  nodeCreated(node) {
    fillPrefix(node);
    if (`${node.comfyClass}`.startsWith("MingUniVision_")) keepAsSaved(node);
    if (node.comfyClass === NODE || node.type === NODE) furnish(node);
  },
  async afterConfigureGraph() {
    sidebar?.composer.forget();
    await recall();
  },
});
