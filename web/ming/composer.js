/**
 * The line to type in, and the bubble of what is being made.
 *
 * Enter sends, Alt+M changes what is wanted, Escape cancels. A picture can be dropped or pasted.
 */
import { element } from "./element.js";
import { MODES, guessMode } from "./guess.js";
import { runStep } from "./running.js";
import { addStep, reseed } from "./steps.js";
import { text } from "./texts.js";
import { uploadPicture } from "./upload.js";

export class Composer {
  #store;
  #view; // shows the turns, and which of them is current
  #mode = null; // chosen by the user; null: guessed
  #picture = null; // name of a picture in the input folder
  #made = []; // steps, to take back one after another
  #cancel = null; // while something runs
  #url = null; // of the preview shown

  constructor({ store, view }) {
    this.#store = store;
    this.#view = view;
    this.mode = this.#button("mode", () => this.#turn());
    this.line = element("textarea", {
      rows: "2",
      class: "ming-line",
      placeholder: text("typeHere"),
      "aria-label": text("typeHere"),
      on: {
        input: () => this.#typed(),
        focus: () => this.#show(),
        keydown: (event) => this.#onKey(event),
        paste: (event) => this.#take(event, event.clipboardData),
      },
    });
    this.send = this.#button("send", () => this.#send());
    this.undo = this.#button("undo", () => this.#takeBack());
    this.retry = this.#button("retry", () => this.#again());
    this.stop = this.#button("stop", () => this.#cancel?.());
    this.hint = element("p", { class: "ming-hint" });
    this.bubble = element("div", { class: "ming-bubble", role: "status", "aria-live": "polite" });
    this.root = element(
      "section",
      {
        class: "ming-composer",
        "aria-label": text("conversation"),
        on: {
          dragover: (event) => event.preventDefault(),
          drop: (event) => this.#take(event, event.dataTransfer),
        },
      },
      this.bubble,
      this.hint,
      this.line,
      element("footer", { role: "toolbar" }, this.mode, this.send, this.stop, this.retry, this.undo),
    );
    view.root.addEventListener("focusin", () => this.#show());
    store.addEventListener("change", () => this.#show());
    this.#show();
  }

  destroy() {
    this.#forgetPreview();
    this.root.remove();
  }

  #button(name, press) {
    return element("button", {
      type: "button",
      text: text(name),
      title: text(`${name}Hint`),
      "data-action": name,
      on: { click: press },
    });
  }

  get #wanted() {
    const hasPicture = Boolean(this.#picture || this.#view.current);
    return this.#mode ?? guessMode(this.line.value, hasPicture);
  }

  /** Say what Enter would do, and from where it would go on. */
  #show() {
    const { current } = this.#view;
    const wanted = this.#wanted;
    this.mode.textContent = { draw: text("draw"), edit: text("change"), ask: text("ask") }[wanted];
    const from = this.#picture
      ? text("aboutPicture", this.#picture)
      : wanted === "draw" || !current
        ? text("fromNothing")
        : text("fromTurn", current.number);
    this.hint.textContent = from;
    this.stop.hidden = !this.#cancel;
    this.retry.hidden = this.undo.hidden = Boolean(this.#cancel) || !this.#made.length;
    this.send.disabled = Boolean(this.#cancel);
  }

  /** What is wanted is guessed anew for a new line. */
  #typed() {
    if (!this.line.value.trim()) this.#mode = null;
    this.#show();
  }

  #turn() {
    this.#mode = MODES[(MODES.indexOf(this.#wanted) + 1) % MODES.length];
    this.#show();
  }

  #onKey(event) {
    event.stopPropagation(); // the host has shortcuts on single letters
    if (event.isComposing) return; // Enter chooses a Chinese word
    if (event.key === "Enter" && !event.shiftKey) this.#send();
    else if (event.code === "KeyM" && event.altKey) this.#turn();
    else if (event.key === "Escape" && this.#cancel) this.#cancel();
    else return;
    event.preventDefault();
  }

  /** A picture that was dropped or pasted is what the next line speaks about. */
  async #take(event, dropped) {
    const file = [...(dropped?.files ?? [])].find((each) => each.type.startsWith("image/"));
    if (!file) return;
    event.preventDefault();
    event.stopPropagation();
    try {
      this.#picture = await uploadPicture(file);
      this.#say(text("pictureTaken", this.#picture));
    } catch (error) {
      this.#say(text("uploadFailed", error.message), "failed");
    }
    this.#show();
    this.line.focus();
  }

  async #send() {
    const words = this.line.value.trim();
    if (!words || this.#cancel) return;
    const turn = this.#view.current;
    const asked = { mode: this.#wanted, words, turn, picture: this.#picture };
    let made;
    try {
      made = addStep(this.#store, asked);
    } catch (error) {
      made = { problem: "failed", message: error.message };
    }
    if (made.problem) {
      this.#say(made.message ?? text(made.problem, turn?.number), "failed");
      return;
    }
    this.#made.push({ ...made, words });
    this.line.value = "";
    this.#mode = this.#picture = null;
    await this.#run();
  }

  async #again() {
    const last = this.#made.at(-1);
    if (!last?.step.graph) return;
    reseed(last.step);
    await this.#run();
  }

  /** Take away the last step that is still there; the user may have removed others. */
  #takeBack() {
    let last = this.#made.pop();
    while (last && !last.step.graph) last = this.#made.pop();
    last?.undo();
    this.line.value ||= last?.words ?? "";
    this.#say(last ? text("undone") : "");
    this.#show();
    this.line.focus();
  }

  async #run() {
    const { step, timeline, targets, words } = this.#made.at(-1);
    const [said, picture, written] = this.#open(words);
    let isUnwanted = false; // cancelled before the server knows of it
    let told = ""; // by the node: its reply, and behind it a remark, if it has one
    this.#cancel = () => (isUnwanted = true);
    this.#show();
    const { state, message } = await runStep({
      targets,
      watched: step,
      started: (cancel) => {
        this.#cancel = cancel;
        if (isUnwanted) cancel();
      },
      tell: (news) => {
        if (news.picture) picture.src = this.#preview(news.picture);
        if (news.picture) picture.hidden = false;
        if (news.text) written.textContent = told = news.text;
        if (news.share) said.dataset.share = `${Math.round(100 * news.share)} %`;
      },
    });
    this.#cancel = null;
    this.#forgetPreview();
    const turn = this.#store.lastTurn(timeline);
    if (state === "done") this.#say(remarkIn(told, turn?.reply ?? ""));
    else this.#say(state === "cancelled" ? text("cancelled") : message || text("failed"), state);
    this.#show();
    this.#view.root.style.setProperty("--ming-covered", `${this.root.offsetHeight + 4}px`);
    if (state === "done") this.#view.choose(turn);
  }

  /** Show the words and, behind them, what comes back while it is made. */
  #open(words) {
    const said = element("p", { class: "ming-said", text: words });
    const picture = element("img", { alt: text("picture"), hidden: true });
    const written = element("p", { class: "ming-written", text: text("working") });
    this.bubble.removeAttribute("data-state");
    this.bubble.replaceChildren(said, picture, written);
    return [said, picture, written];
  }

  #say(words, state = "told") {
    this.bubble.dataset.state = state;
    this.bubble.replaceChildren(...(words ? [element("p", { text: words })] : []));
  }

  #preview(blob) {
    this.#forgetPreview();
    this.#url = URL.createObjectURL(blob);
    return this.#url;
  }

  #forgetPreview() {
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = null;
  }
}

/** What a node said beyond its reply, such as words that a small model was never taught. */
function remarkIn(told, reply) {
  return told.startsWith(reply.trim()) ? told.slice(reply.trim().length).trim() : "";
}
