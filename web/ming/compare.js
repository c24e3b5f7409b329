/** Shows two branches side by side in a dialog: what they share above, what differs below. */
import { openDialog } from "./dialog.js";
import { element } from "./element.js";
import { bothSides, factsOf } from "./parts.js";
import { pathTo } from "./store.js";
import { text } from "./texts.js";

/** Open the dialog on two turns of a forest; other ends of branches can be chosen in it. */
export function openComparison(forest, labels, [left, right], actions) {
  const find = (turn) => forest.rows.find((row) => row.digest === turn.digest) ?? turn;
  const chosen = [find(left), find(right)];
  const choices = [...new Set([...chosen, ...forest.tips])].sort(
    (a, b) => forest.rows.indexOf(a) - forest.rows.indexOf(b),
  );
  const body = element("div", { class: "ming-compared" });
  const pickers = [text("left"), text("right")].map((label, i) =>
    picker(label, choices.map((turn) => nameOf(turn, labels)), choices.indexOf(chosen[i]), (place) => {
      chosen[i] = choices[place];
      draw(body, chosen, actions);
    }),
  );
  draw(body, chosen, actions);
  openDialog(text("compareTitle"), element("div", { class: "ming-pickers" }, ...pickers), body);
}

function picker(label, names, chosen, onChoose) {
  const options = names.map((name, i) =>
    element("option", { value: `${i}`, text: name, selected: i === chosen }),
  );
  const select = element("select", {}, ...options);
  select.addEventListener("change", () => onChoose(Number(select.value)));
  return element("label", {}, element("span", { text: label }), select);
}

function nameOf(turn, labels) {
  const place = [labels.get(turn.digest)?.words, text("turn", turn.number)];
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
