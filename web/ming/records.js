/**
 * Reads what the node says about a conversation, whatever of it is there.
 *
 * A reader never throws: a field that is missing or of another kind becomes an empty one.
 */

const list = (value) => (Array.isArray(value) ? value : []);
const words = (value) => (typeof value === "string" ? value : "");
const count = (value) => (Number.isFinite(value) ? value : 0);
const shown = (value) => (["string", "number", "boolean"].includes(typeof value) ? `${value}` : "");

/** Every conversation of an output; more than one when the node was given a list. */
export function readConversations(raw) {
  return list(raw)
    .filter((record) => record && typeof record === "object")
    .map(readConversation);
}

function readConversation(record) {
  const turns = [];
  for (const raw of list(record.turns)) {
    if (raw && typeof raw === "object") turns.push(readTurn(raw, turns.at(-1)));
  }
  return { model: words(record.model), tokens: count(record.tokens), turns };
}

function readTurn(raw, previous) {
  const asked = list(raw.asked).map(readPart).filter(Boolean);
  const replied = list(raw.replied).map(readPart).filter(Boolean);
  const prompt = textOf(asked);
  const seed = shown(raw.seed);
  return {
    // Without a digest a turn is known by what led to it and what it says.
    digest: words(raw.digest) || `${previous?.digest ?? ""}/${prompt}#${seed}`,
    asked,
    replied,
    prompt,
    reply: textOf(replied),
    seed,
    settings: Object.entries(raw.settings ?? {}).map(([name, value]) => [name, shown(value)]),
    isLeftOut: raw.is_left_out === true,
    promptTokens: count(raw.prompt_tokens),
    replyTokens: count(raw.reply_tokens),
  };
}

function readPart(raw) {
  if (!raw || typeof raw !== "object") return null;
  if (typeof raw.text === "string") return { text: raw.text };
  if ("picture" in raw) return { picture: readFile(raw.picture) };
  return null;
}

/** A file as /view takes it, or null. */
export function readFile(raw) {
  if (!raw || typeof raw.filename !== "string") return null;
  const { filename, subfolder = "", type = "temp" } = raw;
  return { filename, subfolder: words(subfolder), type: words(type) };
}

const textOf = (parts) =>
  parts
    .filter((part) => part.text !== undefined)
    .map((part) => part.text)
    .join(" ");
