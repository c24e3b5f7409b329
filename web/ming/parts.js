/** Draws what a turn consists of: both its sides, and its figures. */
import { element } from "./element.js";
import { text } from "./texts.js";

/** What was asked and what came back, next to each other where there is room. */
export function bothSides(turn, actions) {
  return element(
    "div",
    { class: "ming-sides" },
    ...side(text("you"), "ming-asked", turn.asked, actions),
    ...side(text("model"), "ming-replied", turn.replied, actions),
  );
}

function side(label, kind, parts, actions) {
  if (!parts.length) return [];
  const drawn = parts.map((part) =>
    part.text === undefined ? thumbnail(part.picture, actions) : element("p", { text: part.text }),
  );
  return [element("div", { class: `ming-side ${kind}` }, element("span", { text: label }), ...drawn)];
}

function thumbnail(file, actions) {
  const frame = () =>
    element("span", { class: "ming-frame", text: text("picture"), title: text("noPicture") });
  if (!file) return frame();
  const picture = element("img", {
    src: actions.pictureUrl(file),
    alt: text("picture"),
    loading: "lazy",
    decoding: "async",
    draggable: "false",
  });
  picture.addEventListener("error", () => picture.replaceWith(frame()));
  return picture;
}

/** The figures of a turn as short texts. */
export function factsOf(row) {
  const facts = [text("tokensOf", row.promptTokens, row.replyTokens)];
  if (row.seed) facts.push(text("seed", row.seed));
  return facts.concat(row.settings.map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`));
}
