document.documentElement.classList.add("js");

// Step through the slices of a view.
for (const stack of document.querySelectorAll(".stack")) {
  const cuts = stack.querySelectorAll(".cut");
  stack.querySelector("input").addEventListener("input", (event) => {
    cuts.forEach((cut, number) => cut.classList.toggle("now", number === Number(event.target.value)));
  });
}

// Sort a table by a column: numbers by their value, words by the alphabet, what is missing last.
for (const head of document.querySelectorAll("th[data-sort]")) {
  head.tabIndex = 0;
  const sort = () => {
    const body = head.closest("table").tBodies[0];
    const place = [...head.parentNode.children].indexOf(head);
    const down = head.getAttribute("aria-sort") === "ascending";
    const value = (row) => row.cells[place].dataset.value ?? row.cells[place].textContent.trim();
    const rows = [...body.rows].sort((one, two) => {
      const [a, b] = [value(one), value(two)];
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : Number(a) - Number(b);
      return down ? -order : order;
    });
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  };
  head.addEventListener("click", sort);
  head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
}
