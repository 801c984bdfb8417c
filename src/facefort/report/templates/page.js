"use strict";
for (const slider of document.querySelectorAll(".slider")) {
  const input = slider.querySelector("input");
  const move = () => slider.style.setProperty("--at", input.value + "%");
  input.addEventListener("input", move);
  move();
}
for (const button of document.querySelectorAll("button[data-copy]")) {
  const words = button.textContent;
  const source = document.getElementById(button.dataset.copy);
  button.addEventListener("click", async () => {
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      getSelection().selectAllChildren(source);
      said = "Selected: press Ctrl+C";
    }
    button.textContent = said;
    setTimeout(() => { button.textContent = words; }, 2000);
  });
}
