/** Draws turns as one picture strip: what was shown or drawn, and below it what was said. */

const CELL = 224; // pixels, as the server makes thumbnails
const GAP = 16;
const PER_ROW = 8;
const LINE = 19;
const MOST_LINES = 9; // of the words of one turn
const FONT = "14px system-ui, 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif";
const INKS = { paper: "#ffffff", ink: "#1d2330", faint: "#e3e6ee", number: "#4457c9" };

/** A PNG of the turns; `urlOf` gives the address of a picture. */
export async function drawStrip(turns, urlOf) {
  const cells = await Promise.all(turns.flatMap((turn) => cellsOf(turn, urlOf)));
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  pen.font = FONT;
  for (const cell of cells) cell.lines = wrapped(cell.words, pen);
  const rows = [];
  for (let i = 0; i < cells.length; i += PER_ROW) rows.push(cells.slice(i, i + PER_ROW));
  const heights = rows.map((row) => CELL + GAP + LINE * Math.max(...row.map((c) => c.lines.length)));
  canvas.width = GAP + Math.min(cells.length, PER_ROW) * (CELL + GAP);
  canvas.height = GAP + heights.reduce((sum, height) => sum + height + GAP, 0);
  pen.fillStyle = INKS.paper;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  let y = GAP;
  rows.forEach((row, r) => {
    row.forEach((cell, i) => drawCell(pen, cell, GAP + i * (CELL + GAP), y));
    y += heights[r] + GAP;
  });
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** One cell for every picture given, and one for what came back. */
function cellsOf(turn, urlOf) {
  const pictures = (parts) => parts.filter((part) => part.picture !== undefined);
  const load = async ({ picture }, words) => ({
    number: turn.number,
    words,
    picture: picture ? await loaded(urlOf(picture)) : null,
  });
  const given = pictures(turn.asked).map((part) => load(part, ""));
  const drawn = pictures(turn.replied).map((part, i) =>
    load(part, i ? "" : [unframed(turn.prompt), turn.reply].filter(Boolean).join("\n")),
  );
  if (drawn.length) return [...given, ...drawn];
  return [...given, { number: turn.number, words: "", said: `${turn.prompt}\n\n${turn.reply}` }];
}

/** The words of a turn without the published opening ones. */
const unframed = (prompt) => prompt.replace(/^Please generate the corresponding image[^.]*\. /, "");

function loaded(url) {
  return new Promise((resolve) => {
    const picture = new Image();
    picture.onload = () => resolve(picture);
    picture.onerror = () => resolve(null);
    picture.src = url;
  });
}

function drawCell(pen, { number, picture, said, lines }, x, y) {
  pen.fillStyle = INKS.faint;
  if (!picture) pen.fillRect(x, y, CELL, CELL);
  if (picture) {
    const scale = CELL / Math.max(picture.naturalWidth, picture.naturalHeight);
    const [width, height] = [scale * picture.naturalWidth, scale * picture.naturalHeight];
    pen.drawImage(picture, x + (CELL - width) / 2, y + (CELL - height) / 2, width, height);
  }
  pen.font = FONT;
  pen.textBaseline = "top";
  pen.fillStyle = INKS.ink;
  wrapped(said ?? "", pen, CELL - 2 * GAP).forEach((line, i) =>
    pen.fillText(line, x + GAP, y + 2 * GAP + 8 + i * LINE),
  );
  lines.forEach((line, i) => pen.fillText(line, x, y + CELL + 8 + i * LINE));
  pen.fillStyle = INKS.number;
  pen.fillRect(x, y, 30, 22);
  pen.fillStyle = INKS.paper;
  pen.textAlign = "center";
  pen.fillText(`${number}`, x + 15, y + 4);
  pen.textAlign = "start";
}

/** Lines that fit a cell, broken at spaces, or between characters where there are none. */
function wrapped(words, pen, width = CELL) {
  const lines = [];
  for (const paragraph of words.split("\n")) {
    let rest = paragraph.trim();
    while (rest && lines.length < MOST_LINES) {
      let end = Math.min(rest.length, 200);
      while (end > 1 && pen.measureText(rest.slice(0, end)).width > width) end--;
      const space = rest.lastIndexOf(" ", end);
      if (end < rest.length && space > 0) end = space;
      lines.push(rest.slice(0, end));
      rest = rest.slice(end).trim();
    }
    if (rest) lines[MOST_LINES - 1] = `${lines[MOST_LINES - 1].slice(0, -1)}…`;
    if (rest) break;
  }
  return lines;
}
