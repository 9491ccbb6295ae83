// Loads Perspective once a page, however many tables it has: its custom elements cannot be defined twice.

const KEY = "__lunora_rx_perspective__";
const PATIENCE = 60_000;

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

async function render(props) {
  globalThis[KEY] ??= load(props.model).catch((error) => {
    delete globalThis[KEY];
    throw error;
  });
  return (await globalThis[KEY]).render(props);
}

export default { render };
