/**
 * Draws turns as a feed of cards: in a Timeline node, or, without a node, in the sidebar.
 *
 * One card is current. Arrow keys, Home and End move it; Enter copies its prompt, E goes on from
 * it, C compares it, N names its branch, X exports what led to it, K keeps it of several tries.
 * Its buttons do the same.
 */
import { element } from "./element.js";
import { twinsOf } from "./keeping.js";
import { labelsOf } from "./naming.js";
import { bothSides, factsOf } from "./parts.js";
import { text } from "./texts.js";

const ACTS = { Enter: "copy", e: "edit", c: "compare", n: "name", x: "export", k: "keep" };
const KEYS = { ArrowDown: 1, ArrowUp: -1, PageDown: 3, PageUp: -3, Home: -Infinity, End: Infinity };

export class TimelineView {
  #actions;
  #store;
  #node;
  #rows = [];
  #everywhere = new Map(); // digest -> the row of a turn among all Timeline nodes
  #roots = []; // the turns that begin conversations, in all Timeline nodes
  #labels = new Map(); // digest -> what the branch of a turn is called
  #current = null; // digest of the turn whose card is current
  #pinned = null; // digest of the turn to compare with
  #draw = () => this.draw();

  constructor({ actions, store, node }) {
    this.#actions = actions;
    this.#store = store;
    this.#node = node;
    this.head = element("div", { class: "ming-head" });
    this.feed = element("div", {
      class: "ming-feed",
      role: "feed",
      "data-capture-wheel": "true",
      on: { keydown: (event) => this.#onKey(event) },
    });
    this.status = element("p", { class: "ming-status", role: "status", "aria-live": "polite" });
    this.root = element(
      "section",
      {
        class: `ming-timeline ${node ? "ming-in-node" : "ming-in-sidebar"}`,
        // A press in the panel is not the beginning of a drag of the node.
        on: { pointerdown: (event) => event.stopPropagation() },
      },
      this.head,
      this.feed,
      this.status,
    );
    store.addEventListener("change", this.#draw);
    this.draw();
  }

  /** The turn whose card is current, if there is one. */
  get current() {
    return this.#rows.find((row) => row.digest === this.#current) ?? null;
  }

  /** Make a turn the current one and show it. */
  choose(turn) {
    const row = this.#rows.find((each) => each.digest === turn?.digest);
    if (!row) return;
    this.#mark(row);
    this.#reveal(this.#cardOf(row.digest));
  }

  destroy() {
    this.#store.removeEventListener("change", this.#draw);
    this.root.remove();
  }

  draw() {
    const hadFocus = this.feed.contains(document.activeElement);
    const { rows } = this.#store.forest(this.#node);
    const everywhere = this.#store.forest();
    this.#roots = everywhere.roots;
    this.#everywhere = new Map(everywhere.rows.map((row) => [row.digest, row]));
    this.#labels = labelsOf(this.#store);
    const isNew = rows.at(-1)?.digest !== this.#rows.at(-1)?.digest;
    this.#rows = rows;
    if (isNew) {
      this.#current = rows.at(-1)?.digest ?? null;
      this.#say(""); // what it said was about other turns
    }
    if (!rows.some((row) => row.digest === this.#current)) {
      this.#current = rows.at(-1)?.digest ?? null;
    }
    if (!rows.some((row) => row.digest === this.#pinned)) this.#pinned = null;
    this.root.setAttribute("aria-label", text("title"));
    this.feed.setAttribute("aria-label", text("title"));
    this.#drawHead();
    this.feed.replaceChildren(...(rows.length ? rows.map((row) => this.#card(row)) : [this.#empty()]));
    if (isNew) requestAnimationFrame(() => this.#reveal(this.#cardOf(this.#current)));
    if (hadFocus) this.#cardOf(this.#current)?.focus({ preventScroll: true });
  }

  #drawHead() {
    const rows = this.#rows;
    const conversations = this.#store.conversations(this.#node);
    const tokens = Math.max(0, ...conversations.map((each) => each.tokens));
    const facts = [rows.length === 1 ? text("oneTurn") : text("turns", rows.length)];
    if (tokens) facts.push(text("tokens", tokens));
    const models = [...new Set(conversations.map((each) => each.model).filter(Boolean))];
    const sheet = this.#node && this.#store.sheets(this.#node)[0];
    this.head.replaceChildren(
      element("span", { text: rows.length ? facts.join(" · ") : "", title: models.join("\n") }),
      sheet
        ? element("a", {
            text: text("sheet"),
            title: text("sheetHint"),
            href: this.#actions.pictureUrl(sheet),
            target: "_blank",
            rel: "noopener",
          })
        : "",
    );
  }

  #empty() {
    const hasNodes = this.#node || this.#store.nodes().length;
    return element("p", { class: "ming-empty", text: text(hasNodes ? "empty" : "noNodes") });
  }

  #card(row) {
    const isCurrent = row.digest === this.#current;
    const label = [text("turn", row.number), this.#labelOf(row), row.prompt];
    return element(
      "article",
      {
        class: "ming-turn",
        tabindex: isCurrent ? "0" : "-1",
        "aria-current": `${isCurrent}`,
        "aria-posinset": `${this.#rows.indexOf(row) + 1}`,
        "aria-setsize": `${this.#rows.length}`,
        "aria-label": label.filter(Boolean).join(", "),
        "data-digest": row.digest,
        "data-pinned": row.digest === this.#pinned ? "true" : null,
        style: `--ming-depth: ${Math.min(row.depth, 6)}`,
        on: {
          click: (event) => event.target.closest("a, button") || this.#choose(row, event),
          focus: () => this.#mark(row),
        },
      },
      this.#title(row),
      bothSides(row, this.#actions),
      element("p", { class: "ming-facts", text: factsOf(row).join(" · ") }),
      this.#buttons(row),
    );
  }

  /** What the branch of a turn is called here: a node that shows one counts none. */
  #labelOf(row) {
    const { words, isNamed } = this.#labels.get(row.digest) ?? {};
    return isNamed || !this.#node ? words : "";
  }

  #title(row) {
    const branches = this.#everywhere.get(row.digest)?.children.length ?? 0;
    const label = this.#labelOf(row);
    return element(
      "header",
      {},
      element("b", { class: "ming-number", text: `${row.number}` }),
      label ? element("span", { class: "ming-branch", text: label }) : null,
      branches > 1
        ? element("span", { class: "ming-split", text: text("branches", branches) })
        : null,
      row.isLeftOut ? element("span", { class: "ming-split", text: text("leftOut") }) : null,
      row.digest === this.#pinned
        ? element("span", { class: "ming-pin", text: text("marked") })
        : null,
    );
  }

  #buttons(row) {
    const button = (name) =>
      element("button", {
        type: "button",
        text: text(name),
        title: text(`${name}Hint`),
        "data-action": name,
        on: { click: () => this.#act(name, row) },
      });
    return element(
      "footer",
      { role: "toolbar", "aria-label": text("turn", row.number) },
      ...this.#actsOn(row).map(button),
    );
  }

  /** What can be done with a turn here; some needs the line to type in, or other tries. */
  #actsOn(row) {
    const names = ["copy", "edit", "compare", "name", "export"];
    if (this.#node) return names;
    const isOneOfSeveral = twinsOf(this.#roots, this.#everywhere.get(row.digest)).length;
    return isOneOfSeveral ? ["keep", ...names, "show"] : [...names, "show"];
  }

  #onKey(event) {
    const row = this.#rows.find((each) => each.digest === this.#current);
    if (!row || event.altKey || event.ctrlKey || event.metaKey) return;
    const isOnCard = event.target.classList?.contains("ming-turn");
    const name = ACTS[event.key] ?? ACTS[event.key.toLowerCase()];
    const isMeant = this.#actsOn(row).includes(name) && (isOnCard || name !== "copy");
    if (event.key in KEYS) this.#move(KEYS[event.key]);
    else if (isMeant) this.#act(name, row);
    else return;
    event.preventDefault();
    event.stopPropagation(); // the host has shortcuts on these keys
  }

  async #act(name, row) {
    if (name === "compare") return this.#compare(row);
    if (name === "copy" && !row.prompt) return this.#say(text("nothingToCopy"));
    this.#say(await this.#actions[name](row));
  }

  #move(by) {
    const from = this.#rows.findIndex((row) => row.digest === this.#current);
    const to = Math.max(0, Math.min(this.#rows.length - 1, from + by));
    const card = this.#cardOf(this.#rows[to]?.digest);
    card?.focus({ preventScroll: true }); // in a node it would move the whole canvas
    if (card) this.#reveal(card);
  }

  /** Scroll to a card: within the node, or within whatever the sidebar scrolls. */
  #reveal(card) {
    if (!card) return;
    if (!this.#node) return card.scrollIntoView({ block: "nearest" });
    const top = card.offsetTop - this.feed.offsetTop;
    const overhang = top + card.offsetHeight - this.feed.clientHeight;
    if (top < this.feed.scrollTop) this.feed.scrollTop = top;
    else if (overhang > this.feed.scrollTop) this.feed.scrollTop = overhang;
  }

  #choose(row, event) {
    this.#mark(row);
    if (event.detail) this.#cardOf(row.digest)?.focus({ preventScroll: true });
  }

  /** Make a card the current one without drawing anew. */
  #mark(row) {
    this.#current = row.digest;
    for (const card of this.feed.querySelectorAll(".ming-turn")) {
      const isCurrent = card.dataset.digest === row.digest;
      card.tabIndex = isCurrent ? 0 : -1;
      card.setAttribute("aria-current", `${isCurrent}`);
    }
  }

  #cardOf(digest) {
    const cards = this.feed.querySelectorAll(".ming-turn");
    return [...cards].find((card) => card.dataset.digest === digest);
  }

  #compare(row) {
    const other = this.#rows.find((each) => each.digest === this.#pinned);
    if (other === row) this.#pinned = null;
    else if (!other) this.#pinned = row.digest;
    this.#say(!other ? text("pinned", row.number) : other === row ? text("unpinned") : "");
    const isPair = other && other !== row;
    if (isPair) this.#pinned = null;
    this.draw(); // before the dialog, which gives the focus back to what had it
    if (isPair) this.#actions.compare(other, row);
  }

  #say(words) {
    this.status.textContent = words ?? "";
  }
}
