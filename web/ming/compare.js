/** Shows two branches side by side in a dialog: what they share above, what differs below. */
import { element } from "./element.js";
import { pathTo } from "./store.js";
import { text } from "./texts.js";
import { bothSides, factsOf } from "./view.js";

/** Open the dialog on two turns of a forest; other ends of branches can be chosen in it. */
export function openComparison(forest, left, right, actions) {
  const find = (turn) => forest.rows.find((row) => row.digest === turn.digest) ?? turn;
  const chosen = [find(left), find(right)];
  const choices = [...new Set([...chosen, ...forest.tips])].sort(
    (a, b) => forest.rows.indexOf(a) - forest.rows.indexOf(b),
  );
  const body = element("div", { class: "ming-compared" });
  const pickers = [text("left"), text("right")].map((label, i) =>
    picker(label, choices, chosen[i], (turn) => {
      chosen[i] = turn;
      draw(body, chosen, actions);
    }),
  );
  const close = element("button", {
    type: "button",
    class: "ming-close",
    text: "✕",
    title: text("close"),
    "aria-label": text("close"),
  });
  const dialog = element(
    "dialog",
    { class: "ming-dialog", "aria-label": text("compareTitle") },
    element("header", {}, element("h2", { text: text("compareTitle") }), close),
    element("div", { class: "ming-pickers" }, ...pickers),
    body,
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  // The host has shortcuts on single letters; they are not meant while a dialog is open.
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  draw(body, chosen, actions);
  document.body.append(dialog);
  dialog.showModal();
}

function picker(label, choices, chosen, onChoose) {
  const options = choices.map((turn, i) =>
    element("option", { value: `${i}`, text: nameOf(turn), selected: turn === chosen }),
  );
  const select = element("select", {}, ...options);
  select.addEventListener("change", () => onChoose(choices[Number(select.value)]));
  return element("label", {}, element("span", { text: label }), select);
}

function nameOf(turn) {
  const place = [turn.branch && text("branch", turn.branch), text("turn", turn.number)];
  const words = turn.prompt.length > 60 ? `${turn.prompt.slice(0, 60)}…` : turn.prompt;
  return [...place, words].filter(Boolean).join(" · ");
}

function draw(body, [left, right], actions) {
  const [leftPath, rightPath] = [pathTo(left), pathTo(right)];
  let shared = 0;
  while (shared < leftPath.length && leftPath[shared].digest === rightPath[shared]?.digest) shared++;
  const rest = Math.max(leftPath.length, rightPath.length) - shared;
  const rows = [heading(shared ? text("shared") : text("sharedNone"))];
  for (const turn of leftPath.slice(0, shared)) {
    rows.push(element("div", { class: "ming-pair ming-shared" }, card(turn, null, actions)));
  }
  rows.push(heading(rest ? text("differs") : text("same")));
  for (let i = shared; i < shared + rest; i++) {
    const [one, other] = [leftPath[i], rightPath[i]];
    rows.push(
      element("div", { class: "ming-pair" }, card(one, other, actions), card(other, one, actions)),
    );
  }
  body.replaceChildren(...wipe(left, right, actions), ...rows);
}

/** Both last pictures in one frame, the right one uncovered as far as a slider says. */
function wipe(left, right, actions) {
  const [under, over] = [left, right].map(lastPicture);
  if (!under || !over) return [];
  const picture = (file, label) =>
    element("img", { src: actions.pictureUrl(file), alt: text(label), draggable: "false" });
  const frame = element("div", { class: "ming-wipe" }, picture(under, "left"), picture(over, "right"));
  const slider = element("input", {
    type: "range",
    min: "0",
    max: "100",
    value: "50",
    "aria-label": text("wipe"),
    title: text("wipe"),
    on: { input: () => frame.style.setProperty("--ming-wipe", `${slider.value}%`) },
  });
  return [frame, slider];
}

/** The picture a turn speaks about: its own, or the last one before it. */
function lastPicture(turn) {
  const parts = pathTo(turn).flatMap(({ asked, replied }) => [...asked, ...replied]);
  return parts.findLast((part) => part.picture)?.picture;
}

const heading = (words) => element("h3", { text: words });

/** A turn; the figures that the other one does not have stand out. */
function card(turn, other, actions) {
  if (!turn) return element("p", { class: "ming-empty", text: text("continues") });
  const others = new Set(other ? factsOf(other) : []);
  const facts = factsOf(turn).map((fact) =>
    element(other && !others.has(fact) ? "mark" : "span", { text: fact }),
  );
  return element(
    "article",
    { class: "ming-turn" },
    element("header", {}, element("b", { class: "ming-number", text: `${turn.number}` })),
    bothSides(turn, actions),
    element("p", { class: "ming-facts" }, ...facts),
  );
}
