/** Finds the output in the graph that carries the context after a given turn. */

export const PREFIX = "MingUniVision_";
const PROMPTS = { Generate: "prompt", EditStep: "instruction", Describe: "question" };

/** The output an input is fed by, { node, slot }; re-routes are seen through. */
export function originOf(node, name) {
  const slot = node.inputs?.findIndex((input) => input.name === name) ?? -1;
  return slot < 0 ? null : seenThrough(node, slot);
}

function seenThrough(node, slot) {
  const link = node.getInputLink(slot);
  const before = link && node.graph?.getNodeById(link.origin_id);
  if (!before) return null;
  const isReroute = before.type === "Reroute" && before.inputs?.length === 1;
  return isReroute ? seenThrough(before, 0) : { node: before, slot: link.origin_slot };
}

/**
 * { node, slot, isList, timeline } of the output after a turn, or { problem } to tell.
 *
 * A Timeline that ends with the turn knows its source best. Otherwise one that shows more turns
 * is followed upstream, node by node.
 */
export function findSource(store, turn) {
  const homes = store.forest().rows.find((row) => row.digest === turn.digest)?.homes ?? turn.homes;
  const isLast = ({ conversation, index }) => index === conversation.turns.length - 1;
  const ordered = [...homes.filter(isLast), ...homes.filter((home) => !isLast(home))];
  let problem = "noSource";
  for (const home of ordered) {
    const found = follow(store, home);
    if (!found.problem) return found;
    problem = found.problem;
  }
  return { problem };
}

function follow(store, { conversation, index }) {
  const timeline = conversation.node;
  const isList = store.conversations(timeline).length > 1;
  let at = originOf(timeline, "context");
  if (!at) return { problem: hasLink(timeline, "context") ? "insideSubgraph" : "notConnected" };
  for (let last = conversation.turns.length - 1; last > index; ) {
    const kind = kindOf(at.node);
    if (kind === "LoadContext") return { problem: "inFile" };
    const isTrim = kind === "TrimContext"; // it adds no turn, and keeps all on record
    if (!isTrim && !(kind in PROMPTS)) return { problem: "insideSubgraph" };
    if (!isTrim && !makes(at.node, PROMPTS[kind], conversation.turns[last])) {
      return { problem: "changed" };
    }
    last -= turnsOf(at.node, kind);
    if (last < index) return { problem: "inRegion" };
    const before = originOf(at.node, "context");
    if (!before) {
      return { problem: hasLink(at.node, "context") ? "insideSubgraph" : "changed" };
    }
    at = before;
  }
  const kind = kindOf(at.node);
  const isOther = kind in PROMPTS && !makes(at.node, PROMPTS[kind], conversation.turns[index]);
  return isOther ? { problem: "changed" } : { ...at, isList, timeline };
}

const kindOf = (node) => (node.type?.startsWith?.(PREFIX) ? node.type.slice(PREFIX.length) : "");

const hasLink = (node, name) => {
  const slot = node.inputs?.findIndex((input) => input.name === name) ?? -1;
  return slot >= 0 && Boolean(node.getInputLink(slot));
};

/** Whether a node still asks what the turn says; linked and dynamic prompts cannot be told. */
function makes(node, name, turn) {
  const words = node.widgets?.find((widget) => widget.name === name)?.value;
  if (typeof words !== "string" || words.includes("{") || hasLink(node, name)) return true;
  const said = turn.prompt.trim();
  return words.trim() === said || words.split("\n").some((line) => line.trim() === said);
}

/** How many turns a node adds: an Edit Step that shows its region first adds two. */
function turnsOf(node, kind) {
  if (kind === "TrimContext") return 0;
  const region = node.widgets?.find((widget) => widget.name === "show_region_first")?.value;
  return kind === "EditStep" && region === true ? 2 : 1;
}
