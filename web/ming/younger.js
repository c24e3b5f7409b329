/** Widgets that are younger than some workflow files: such files keep doing what they did. */

const BEFORE = { memory: "all", aside: false };

/** Where a saved list of values ends before such a widget, give it what it was like without it. */
export function keepAsSaved(node) {
  if (!node.widgets?.some((widget) => widget.name in BEFORE)) return;
  const { onConfigure } = node;
  node.onConfigure = function (saved, ...rest) {
    const values = saved?.widgets_values;
    node.widgets.forEach((widget, i) => {
      const isYounger = Array.isArray(values) && values.length && i >= values.length;
      if (isYounger && widget.name in BEFORE) widget.value = BEFORE[widget.name];
    });
    return onConfigure?.call(this, saved, ...rest);
  };
}
