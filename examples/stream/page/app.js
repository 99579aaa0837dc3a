// One MQTT connection. A question is published to two topics, each of which a rule hands to the
// same function; both answers come to a topic of this page's own. The Correlation Data says which
// question a message answers, and the user properties say where it stands in its answer.
const $ = (selector, from = document) => from.querySelector(selector);
const answers = `answers/${crypto.randomUUID()}`;
const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/mqtt`;
const client = mqtt.connect(url, { protocolVersion: 5, reconnectPeriod: 1000 });

const inSeconds = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`);

// Card shows one answer on its way.
class Card {
  constructor(id, title, rule) {
    const section = $("template").content.cloneNode(true).querySelector("section");
    section.id = id;
    $("h2", section).textContent = title;
    $(".rule code", section).textContent = rule;
    $("main").append(section);
    this.section = section;
    this.topic = `ask/${id}`;
  }

  show(name, text) { $(`.${name}`, this.section).textContent = text; }
  set state(now) { this.section.dataset.state = now; }
  get waits() { return ["asked", "writing"].includes(this.section.dataset.state); }
  get elapsed() { return performance.now() - this.asked; }

  ask(question) {
    this.asked = performance.now();
    this.id = crypto.randomUUID();
    this.clear();
    this.state = "asked";
    client.publish(this.topic, JSON.stringify(question), {
      qos: 1,
      properties: { responseTopic: answers, correlationData: this.id },
    });
  }

  clear() {
    this.count = 0;
    for (const name of ["story", "line", "failure"]) this.show(name, "");
    for (const name of ["first", "complete", "count"]) this.show(name, "–");
  }

  // heard takes a message of the answer. The pieces of a streamed one count up from 0.
  heard(text, { sequence, end }) {
    if (end === "error") return this.failed(text);
    if (text) {
      const at = this.elapsed;
      if (this.count === 0) this.show("first", inSeconds(at));
      this.show("count", ++this.count);
      this.state = "writing";
      $(".story", this.section).append(Object.assign(document.createElement("span"), { textContent: text }));
      const mark = document.createElement("i");
      mark.style.setProperty("--at", at);
      $(".line", this.section).append(mark);
    }
    if (end === "ok" || sequence === undefined) this.ended("done");
  }

  failed(text) {
    let why = text;
    try {
      const document = JSON.parse(text); // the function's own, or that of an error action
      why = document.errorMessage ?? document.failures[0].errorMessage;
    } catch { /* it stays as it is */ }
    this.show("failure", why);
    this.ended("failed");
  }

  ended(how) {
    this.show("complete", inSeconds(this.elapsed));
    this.state = how;
  }
}

const cards = [
  new Card("streamed", "Piece by piece", "reply: {stream: true}"),
  new Card("whole", "All at once", "reply: {}"),
];

client.on("connect", async () => {
  await client.subscribeAsync(answers, { qos: 1 });
  $("#ask > button").disabled = false;
});
client.on("close", () => { $("#ask > button").disabled = true; });
client.on("message", (_, payload, { properties = {} }) => {
  const id = String(properties.correlationData);
  cards.find((card) => card.id === id && card.waits)?.heard(payload.toString(), properties.userProperties ?? {});
});

$("#ask").addEventListener("submit", (event) => {
  event.preventDefault();
  for (const card of cards) card.ask({ about: $("#about").value });
  requestAnimationFrame(follow);
});
for (const idea of document.querySelectorAll(".ideas button")) {
  idea.addEventListener("click", () => { $("#about").value = idea.textContent; $("#ask").requestSubmit(); });
}

// follow moves the end of both lines along with the clock while an answer is on its way.
function follow() {
  const active = cards.filter((card) => card.waits);
  if (active.length === 0) return;
  const now = Math.max(...active.map((card) => card.elapsed));
  $("main").style.setProperty("--now", Math.max(now, 1));
  for (const card of active) card.show("complete", inSeconds(card.elapsed));
  requestAnimationFrame(follow);
}
