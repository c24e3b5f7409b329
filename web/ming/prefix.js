/** Fills in %date:yyyy-MM-dd% and %Node.widget% in file names, as the page does for its own nodes. */
import { app } from "../../../scripts/app.js";

const SAVERS = ["MingUniVision_SaveImage", "MingUniVision_SaveContext"];

/** Send the filled-in name of a node that saves; the one that is typed stays in the workflow. */
export function fillPrefix(node) {
  if (!SAVERS.includes(node.comfyClass ?? node.type)) return;
  const widget = node.widgets?.find(({ name }) => name === "filename_prefix");
  const replace = window.comfyAPI?.utils?.applyTextReplacements;
  if (widget && replace) widget.serializeValue = () => replace(app, `${widget.value}`);
}
