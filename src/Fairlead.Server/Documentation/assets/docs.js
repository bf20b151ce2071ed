// Optional: every page is readable without it.
if (matchMedia("(max-width: 52rem)").matches) document.querySelector(".guides")?.removeAttribute("open");

for (const block of document.querySelectorAll("main pre")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.querySelector("code").textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(block.querySelector("code"));
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  block.append(button);
}

for (const heading of document.querySelectorAll("main h2[id], main h3[id]")) {
  const link = document.createElement("a");
  link.className = "anchor";
  link.href = `#${heading.id}`;
  link.textContent = "#";
  link.ariaLabel = `Link to ${heading.textContent}`;
  heading.append(link);
}

for (const table of document.querySelectorAll("main table")) {
  const frame = document.createElement("div");
  frame.className = "scroll";
  table.replaceWith(frame);
  frame.append(table);
}
