/** Makes DOM elements. Texts become text nodes, never markup. */

/** element("p", { class, text, title, on: { click }, any: attribute }, ...children) */
export function element(tag, traits = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(traits)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (name === "on") {
      for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    } else made.setAttribute(name === "class" ? "class" : name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Load a style sheet once. */
export function attach(url) {
  if (document.querySelector(`link[href="${CSS.escape(url.href)}"]`)) return;
  document.head.append(element("link", { rel: "stylesheet", href: url.href }));
}
