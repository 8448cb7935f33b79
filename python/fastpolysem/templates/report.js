// Headings sort their table: by number where the texts begin with one, "-" last.
const compare = (a, b) => {
  const [x, y] = [parseFloat(a), parseFloat(b)];
  if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y) || a.localeCompare(b);
  return x - y;
};
for (const table of document.querySelectorAll("table.sortable")) {
  const buttons = [...table.querySelectorAll("thead button")];
  const keys = table.querySelectorAll("thead .key button").length;
  buttons.forEach((button, index) => {
    const text = (row) =>
      index < keys
        ? row.cells[0].querySelectorAll("span")[index].textContent
        : row.cells[index - keys + 1].textContent;
    button.addEventListener("click", () => {
      const order = button.dataset.order === "1" ? -1 : 1;
      for (const other of buttons) delete other.dataset.order;
      button.dataset.order = order;
      for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
      button.closest("th").ariaSort = order === 1 ? "ascending" : "descending";
      const body = table.tBodies[0];
      body.append(...[...body.rows].sort((a, b) => order * compare(text(a), text(b))));
    });
  });
}
// Nothing can be unfolded on paper.
const folded = [];
addEventListener("beforeprint", () => {
  folded.push(...document.querySelectorAll("details:not([open])"));
  for (const one of folded) one.open = true;
});
addEventListener("afterprint", () => {
  for (const one of folded.splice(0)) one.open = false;
});
