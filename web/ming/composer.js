/**
 * The line to type in: sends what is typed, and takes back, repeats, cancels and keeps.
 *
 * Enter sends, Alt+Enter sends four tries of it, Alt+1 to Alt+4 keep one of them, Alt+M changes
 * what is wanted, Escape cancels. A picture can be dropped or pasted.
 */
import { Bubble, remarkIn } from "./bubble.js";
import { element } from "./element.js";
import { isPlaced } from "./graph.js";
import { MODES, guessMode } from "./guess.js";
import { keepOnly } from "./keeping.js";
import { runStep } from "./running.js";
import { addStep, addTries, moveBack, moveOn, reseed, swapNodes, takeAway } from "./steps.js";
import { text } from "./texts.js";
import { uploadPicture } from "./upload.js";

const TRIES = 4;

export class Composer {
  #store;
  #view; // shows the turns, and which of them is current
  #pictureUrl;
  #bubble = new Bubble();
  #mode = null; // chosen by the user; null: guessed
  #picture = null; // name of a picture in the input folder
  #upload = 0; // number of the last picture taken: an earlier one may come later
  #made = []; // what lines have made, to take back one after another
  #cancel = null; // while something runs
  #keep = null; // while tries are offered: keeps one by its place

  constructor({ store, view, pictureUrl }) {
    this.#store = store;
    this.#view = view;
    this.#pictureUrl = pictureUrl;
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
    this.four = this.#button("four", () => this.#send(TRIES));
    this.undo = this.#button("undo", () => this.#takeBack());
    this.retry = this.#button("retry", () => this.#again());
    this.stop = this.#button("stop", () => this.#cancel?.());
    this.hint = element("p", { class: "ming-hint" });
    const buttons = [this.mode, this.send, this.four, this.stop, this.retry, this.undo];
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
      this.#bubble.root,
      this.hint,
      this.line,
      element("footer", { role: "toolbar" }, ...buttons),
    );
    view.root.addEventListener("focusin", () => this.#show());
    store.addEventListener("change", () => this.#show());
    new ResizeObserver(() => this.#uncover()).observe(this.root);
    this.#show();
  }

  /** Keep a turn and take the other tries of it away. */
  keep(turn) {
    return this.#tried(() => this.#keepOnly(turn));
  }

  #keepOnly(turn) {
    if (this.#cancel) return;
    const { problem, made, staying } = keepOnly(this.#store, turn);
    if (problem) return this.#say(text(problem, turn?.number), "failed");
    this.#made.push({ ...made, words: turn.prompt });
    this.#say(text(staying ? "keptSome" : "kept", staying));
    this.#show();
    this.#view.choose(turn);
    this.line.focus();
  }

  get isBusy() {
    return Boolean(this.#cancel);
  }

  /** Another workflow is shown: what was made is not there any more. */
  forget() {
    if (this.#cancel || this.#made.some((made) => this.#isThere(made))) return;
    this.#made = [];
    this.#picture = null;
    this.#say("");
    this.#show();
  }

  #button(name, press) {
    return element("button", {
      type: "button",
      text: text(name),
      title: text(`${name}Hint`),
      "data-action": name,
      on: { click: () => this.#tried(press) },
    });
  }

  /** Do what was asked for; what goes wrong is told in the bubble. */
  async #tried(work) {
    try {
      await work();
    } catch (error) {
      console.error("Ming-UniVision:", error);
      this.#cancel = null;
      this.#say(text("failedWith", error.message), "failed");
      this.#show();
    }
  }

  get #wanted() {
    const hasPicture = Boolean(this.#picture || this.#view.current);
    return this.#mode ?? guessMode(this.line.value, hasPicture);
  }

  #isThere = ({ tries }) => tries.some(({ step, turn }) => !turn && isPlaced(step));

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
    const hasWords = Boolean(this.line.value.trim());
    this.hint.textContent = from;
    const { isBusy } = this;
    this.stop.hidden = !isBusy;
    this.retry.hidden = this.undo.hidden = isBusy || !this.#made.some((made) => this.#isThere(made));
    this.send.disabled = isBusy;
    this.four.disabled = isBusy || (hasWords ? wanted === "ask" : !current);
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
    if (event.altKey && event.shiftKey) return; // opens and closes the sidebar
    event.stopPropagation(); // the host has shortcuts on single letters
    if (event.isComposing) return; // Enter chooses a Chinese word
    const digit = event.altKey && /^(?:Digit|Numpad)([1-9])$/.exec(event.code);
    if (event.key === "Enter" && !event.shiftKey) this.#tried(() => this.#send(event.altKey ? TRIES : 1));
    else if (event.code === "KeyM" && event.altKey) this.#turn();
    else if (digit && this.#keep) this.#keep(Number(digit[1]) - 1);
    else if (event.key === "Escape" && this.#cancel) this.#cancel();
    else return;
    event.preventDefault();
  }

  /** A picture that was dropped or pasted is what the next line speaks about. */
  async #take(event, dropped) {
    const files = [...(dropped?.files ?? [])];
    if (!files.length) return; // words, for the line
    event.preventDefault();
    event.stopPropagation();
    const number = ++this.#upload;
    try {
      const file = files.find((each) => each.type.startsWith("image/"));
      if (!file) throw new Error(files[0].name);
      const picture = await uploadPicture(file);
      if (number !== this.#upload) return;
      this.#picture = picture;
      if (!this.#cancel) this.#say(text(files.length > 1 ? "firstTaken" : "pictureTaken", picture));
    } catch (error) {
      if (!this.#cancel) this.#say(text("uploadFailed", error.message), "failed");
    }
    this.#show();
    this.line.focus();
  }

  async #send(count = 1) {
    const words = this.line.value.trim();
    const turn = this.#view.current;
    if (this.#cancel || (!words && (count === 1 || !turn))) return;
    const mode = this.#wanted;
    const asked = { mode, words, turn, picture: this.#picture };
    const made = words
      ? addStep(this.#store, asked, mode === "ask" ? 1 : count)
      : addTries(this.#store, turn, count - 1);
    if (made.problem) return this.#say(text(made.problem, turn?.number), "failed");
    this.#made.push({ ...made, words: words || turn.prompt, line: words, picture: asked.picture });
    this.line.value = "";
    this.#mode = this.#picture = null;
    await this.#run();
  }

  async #again() {
    const last = this.#lastMade();
    if (!last) return;
    reseed(last);
    moveOn(last);
    await this.#run();
  }

  /** The last thing made that is still there; the user may have removed others. */
  #lastMade() {
    while (this.#made.length && !this.#isThere(this.#made.at(-1))) this.#made.pop();
    return this.#made.at(-1);
  }

  #takeBack() {
    const { current } = this.#view;
    const last = this.#lastMade();
    this.#made.pop();
    if (last?.undo) swapNodes(this.#made, last.undo());
    else if (last) takeAway(this.#store, last);
    this.line.value ||= last?.line ?? "";
    this.#picture ??= last?.picture ?? null;
    this.#say(last ? text(last.undo ? "broughtBack" : "undone") : "");
    const offered = last?.undo && this.#lastMade();
    if (offered?.tries.length > 1) this.#offer(offered, "");
    if (current) this.#view.choose(current);
    this.#show();
    this.line.focus();
  }

  async #run() {
    const made = this.#made.at(-1);
    const told = new Map(); // by the nodes: the reply, and behind it a remark, if there is one
    const tries = made.tries;
    const fresh = tries.filter(({ turn }) => !turn);
    this.#keep = null;
    this.#bubble.open(made.words, tries.map(({ turn }) => this.#pictureOf(turn)));
    let isUnwanted = false; // cancelled before the server knows of it
    this.#cancel = () => (isUnwanted = true);
    this.#show();
    const { state, message } = await runStep({
      targets: made.targets.filter(isPlaced),
      watched: fresh.map(({ step }) => step),
      started: (cancel) => {
        this.#cancel = cancel;
        if (isUnwanted) cancel();
      },
      tell: (news, i) => {
        if (news.text) told.set(i, news.text);
        this.#bubble.tell(news, tries.indexOf(fresh[i]));
      },
    });
    this.#cancel = null;
    const turns = fresh.map(({ timeline }) => this.#store.lastTurn(timeline));
    const remarks = turns.map((turn, i) => remarkIn(told.get(i) ?? "", turn?.reply ?? ""));
    const remark = [...new Set(remarks)].join("\n").trim();
    if (state !== "done") moveBack(made);
    if (state === "done" && tries.length > 1) this.#offer(made, remark);
    else if (state === "done") this.#say(remark);
    else if (state === "cancelled") this.#say(text("cancelled"), state);
    else this.#say(`${message || text("failed")}\n${text("next")}`, state);
    this.#show();
    this.#uncover();
    if (state === "done") this.#view.choose(turns[0]);
  }

  /** Show the tries side by side, to keep one. */
  #offer(made, remark) {
    const turns = made.tries.map(({ turn, timeline }) => turn ?? this.#store.lastTurn(timeline));
    this.#bubble.open(made.words, turns.map((turn) => this.#pictureOf(turn)));
    const sources = turns.map((turn) => this.#pictureOf(turn));
    const keep = (i) => turns[i] && this.keep(turns[i]);
    this.#bubble.offer(remark, sources, keep);
    this.#keep = keep;
  }

  /** What the turns show and tell is not to lie under the line. */
  #uncover() {
    this.#view.root.style.setProperty("--ming-covered", `${this.root.offsetHeight + 4}px`);
  }

  #pictureOf(turn) {
    const file = turn?.replied.find((part) => part.picture)?.picture;
    return file ? this.#pictureUrl(file) : null;
  }

  #say(words, state = "told") {
    this.#keep = null;
    this.#bubble.say(words, state);
  }
}
