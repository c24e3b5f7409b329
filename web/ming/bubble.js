/** Shows what is being made, one place for each try, and what is to be told below the turns. */
import { element } from "./element.js";
import { text } from "./texts.js";

export class Bubble {
  #places = []; // { picture, written, figure } of every try
  #said = null;
  #shares = [];
  #urls = []; // of the previews shown

  constructor() {
    this.root = element("div", { class: "ming-bubble", role: "status", "aria-live": "polite" });
  }

  /** Show the words and, behind them, a place for every try; one that is there has its picture. */
  open(words, pictures) {
    this.#forget();
    this.#said = element("p", { class: "ming-said", text: words });
    this.#places = pictures.map((src) => {
      const picture = element("img", { alt: text("picture"), hidden: !src, src });
      const written = element("p", { class: "ming-written", text: src ? "" : text("working") });
      return { picture, written, figure: element("figure", {}, picture, written) };
    });
    this.#shares = pictures.map((src) => (src ? 1 : 0));
    const isOne = pictures.length === 1;
    const figures = this.#places.map(({ figure }) => figure);
    this.root.removeAttribute("data-state");
    this.root.replaceChildren(
      this.#said,
      element("div", { class: isOne ? "ming-one" : "ming-tries" }, ...figures),
    );
  }

  /** Show news of one try: { picture }, { text }, { share }. */
  tell({ picture, text: words, share }, i) {
    const place = this.#places[i];
    if (picture) {
      this.#forget(i);
      this.#urls[i] = place.picture.src = URL.createObjectURL(picture);
      place.picture.hidden = false;
    }
    if (words) place.written.textContent = words;
    if (share) {
      this.#shares[i] = share;
      const done = this.#shares.reduce((sum, each) => sum + each, 0) / this.#shares.length;
      this.#said.dataset.share = `${Math.round(100 * done)} %`;
    }
  }

  /** Offer every try to be kept: `sources` are the pictures, null where there is none. */
  offer(remark, sources, keep) {
    this.#forget();
    delete this.#said.dataset.share;
    this.#places.forEach(({ picture, written, figure }, i) => {
      picture.hidden = !sources[i];
      if (sources[i]) picture.src = sources[i];
      written.textContent = "";
      figure.append(
        element("button", {
          type: "button",
          text: text("keepNumber", i + 1),
          title: text("keepNumberHint", i + 1),
          "data-action": "keep",
          on: { click: () => keep(i) },
        }),
      );
    });
    this.root.dataset.state = "offered";
    if (remark) this.root.append(element("p", { text: remark }));
  }

  /** Say something in place of all that was shown. */
  say(words, state = "told") {
    this.#forget();
    this.root.dataset.state = state;
    this.root.replaceChildren(...(words ? [element("p", { text: words })] : []));
  }

  #forget(only = null) {
    this.#urls.forEach((url, i) => {
      if (url && (only === null || only === i)) URL.revokeObjectURL(url);
    });
    if (only === null) this.#urls = [];
  }
}

/** What a node said beyond its reply, such as words that a small model was never taught. */
export function remarkIn(told, reply) {
  return told.startsWith(reply.trim()) ? told.slice(reply.trim().length).trim() : "";
}
