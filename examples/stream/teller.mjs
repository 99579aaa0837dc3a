// A story, told while it is made up. What a streaming handler writes is on its way to whoever
// asked at once; a language model's answer would be handed on in the same way:
//
//   for await (const part of model.stream(prompt)) out.write(part);
import { setTimeout as pause } from "node:timers/promises";

const pace = 30; // milliseconds between two words

const story = (who) => `\
Once, at the far end of a long pier, there was ${who}. Nobody had asked for it. In the mornings it listened to the gulls, \
in the evenings it counted the boats: one, two, three.

Then came a night when the fog was so thick that even the harbour forgot its own name. The boats stood still and waited. \
And ${who} did what it had never done before: it spoke, one word at a time, and whoever heard a word passed it on.

By the time the last word was said, the first boat was home. That is why nobody here waits for a whole answer any more.`;

export const handler = awslambda.streamifyResponse(async (event, out) => {
  const about = String(event.about ?? "").trim();
  if (!about) throw new Error("A story has to be about somebody.");
  let told = 0;
  for (const word of story(about).match(/\S+\s*/g)) {
    if (about === "nothing" && ++told > 24) throw new Error("There is no story about nothing.");
    out.write(word);
    await pause(pace);
  }
  out.end();
});
