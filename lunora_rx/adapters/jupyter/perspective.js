// Loads Perspective once a page, however many tables it has: its custom elements cannot be defined twice. And has it
// follow the page when that is light or dark, unless somebody chose a theme.

const KEY = "__lunora_rx_perspective__";
const PATIENCE = 60_000;
const LIGHT = "Pro Light";
const DARK = "Pro Dark";
const STYLED = [100, 500, 2000]; // milliseconds within which a page's colours follow its attributes

async function load(model) {
  const source = await new Promise((resolve, reject) => {
    const take = (message, buffers) => {
      if (message.type !== "module") return;
      model.off("msg:custom", take);
      resolve(buffers[0]);
    };
    model.on("msg:custom", take);
    model.send({ type: "module" });
    setTimeout(() => reject(new Error("the kernel did not send Perspective's module")), PATIENCE);
  });
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  return (await import(url)).default;
}

// What is behind an element: the first colour on the way to the root that can be seen.
function is_dark(el) {
  for (let at = el.isConnected ? el : document.body; at; at = at.parentElement) {
    const [red, green, blue, alpha = 1] = (getComputedStyle(at).backgroundColor.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
    if (alpha > 0) return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 128;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function theme_of(el) {
  return is_dark(el) ? DARK : LIGHT;
}

// The viewer is told, not the model: what is set there while the viewer's last change is on its way is overwritten by it.
function follow_page(el) {
  const viewer = el.querySelector("perspective-viewer");
  let turn = Promise.resolve();
  let has_left = false;
  let followed = null; // the page's theme as of last time: what somebody chooses stays until the page changes
  const choose = async () => {
    const theme = theme_of(el), shown = viewer.getAttribute("theme");
    if (has_left || theme === followed) return;
    if (shown !== theme && (shown === LIGHT || shown === DARK)) await viewer.restore({ theme });
    followed = theme;
  };
  const queue = () => {
    turn = turn.then(choose).catch(console.error);
  };
  const observer = new MutationObserver(() => STYLED.forEach((delay) => setTimeout(queue, delay)));
  for (const each of [document.documentElement, document.body]) observer.observe(each, { attributes: true });
  // A style sheet may take longer to arrive. That it has is told to the document only on the way down.
  document.addEventListener("load", queue, true);
  queue();
  return () => {
    has_left = true;
    observer.disconnect();
    document.removeEventListener("load", queue, true);
  };
}

async function render(props) {
  globalThis[KEY] ??= load(props.model).catch((error) => {
    delete globalThis[KEY];
    throw error;
  });
  const perspective = await globalThis[KEY];
  const follows = props.model.get("follows_page");
  if (follows && !props.model.get("theme")) props.model.set("theme", theme_of(props.el));
  const end = await perspective.render(props);
  const leave = follows ? follow_page(props.el) : () => {};
  return () => {
    leave();
    return end();
  };
}

export default { render };
