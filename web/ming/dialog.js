/** Opens a dialog of the page's own: a title, a button that closes it, and what is in it. */
import { element } from "./element.js";
import { text } from "./texts.js";

/** Returns the dialog; it is gone once it is closed, and the focus is back where it was. */
export function openDialog(title, ...content) {
  const close = element("button", {
    type: "button",
    class: "ming-close",
    text: "\u2715",
    title: text("close"),
    "aria-label": text("close"),
  });
  const dialog = element(
    "dialog",
    { class: "ming-dialog", "aria-label": title },
    element("header", {}, element("h2", { text: title }), close),
    ...content,
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  // The host has shortcuts on single letters; they are not meant while a dialog is open.
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask for a few words; resolves to null when the dialog was closed without. */
export function askFor(title, label, words) {
  return new Promise((resolve) => {
    const line = element("input", { type: "text", value: words, "aria-label": label, maxlength: "80" });
    const done = element("button", { type: "submit", text: text("done") });
    const form = element("form", { class: "ming-ask" }, line, done);
    const dialog = openDialog(title, element("p", { text: label }), form);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      resolve(line.value);
      dialog.close();
    });
    dialog.addEventListener("close", () => resolve(null));
    line.focus();
    line.select();
  });
}
