// Presses Send in /reference as a reader would, in Chromium, and prints one JSON object a line for each request that the page sent.
// node reference.mjs <chromium> <folder for its profile> <address> <key> <document>/<tag><path> …
import { spawn } from "node:child_process";

const [chromium, profile, address, key, ...operations] = process.argv.slice(2);
const browser = spawn(chromium, ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0", `--user-data-dir=${profile}`, "--window-size=1400,1000", "about:blank"], { stdio: ["ignore", "ignore", "pipe"] });
const end = (code) => {
  browser.on("exit", () => process.exit(code));
  browser.kill();
};
setTimeout(() => { console.error("Chromium took longer than four minutes."); end(1); }, 240_000).unref();

try {
  let log = "";
  const debugging = await new Promise((resolve) => browser.stderr.on("data", (data) => {
    log += data;
    const match = /DevTools listening on (ws:\S+)/.exec(log);
    if (match) resolve(new URL(match[1]));
  }));
  const targets = await (await fetch(`http://127.0.0.1:${debugging.port}/json`)).json();
  const socket = new WebSocket(targets.find((target) => target.type === "page").webSocketDebuggerUrl);
  await new Promise((resolve) => { socket.onopen = resolve; });

  let last = 0;
  const waiting = new Map();
  const listeners = new Set();
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.id) waiting.get(message.id)(message.result);
    else for (const listener of listeners) listener(message.method, message.params);
  };
  const command = (method, params = {}) => new Promise((resolve) => {
    waiting.set(++last, resolve);
    socket.send(JSON.stringify({ id: last, method, params }));
  });
  const evaluate = async (expression) => (await command("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true })).result.value;
  // The page says when it has changed; what is waited for may be there already.
  const appears = (expression) => evaluate(`new Promise((resolve) => {
    const look = () => (${expression}) && (observer.disconnect(), resolve(true));
    const observer = new MutationObserver(look);
    observer.observe(document, { childList: true, subtree: true, characterData: true, attributes: true });
    look();
  })`);
  const button = (pattern) => `[...document.querySelectorAll("button")].find((one) => ${pattern}.test(one.innerText.trim()))`;

  await command("Network.enable");
  await command("Page.enable");
  for (const operation of operations) {
    const [document, tag] = operation.split("/");
    const path = operation.slice(document.length + tag.length + 1);
    await command("Page.navigate", { url: "about:blank" });
    const loaded = new Promise((resolve) => listeners.add((method) => method === "Page.loadEventFired" && resolve()));
    await command("Page.navigate", { url: `${address}/reference/${document}#tag/${tag}/POST${path}` });
    await loaded;
    const open = button(`/^Test Request\\s*\\(post ${path.replaceAll("/", "\\/")}\\)/`);
    await appears(`${open} && document.querySelector("input[placeholder=Token]")`);
    await evaluate(`(() => {
      const field = document.querySelector("input[placeholder=Token]");
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, ${JSON.stringify(key)});
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.dispatchEvent(new Event("change", { bubbles: true }));
    })()`);
    await evaluate(`${open}.click()`);
    const send = button("/^Send\\s+Send post request/");
    await appears(send);
    const answered = new Promise((resolve) => {
      let sent;
      listeners.add((method, params) => {
        if (method === "Network.requestWillBeSent" && params.request.method === "POST" && new URL(params.request.url).pathname === path) sent = params;
        if (method === "Network.responseReceived" && params.requestId === sent?.requestId) resolve({ path, status: params.response.status, headers: Object.keys(sent.request.headers), body: sent.request.postData });
      });
    });
    await evaluate(`${send}.click()`);
    console.log(JSON.stringify(await answered));
    listeners.clear();
  }
  end(0);
} catch (error) {
  console.error(error);
  end(1);
}
