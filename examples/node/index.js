// A thermostat: it is told a room's temperature and answers what its heating has to do.
'use strict';

const wanted = Number(process.env.WANTED_CELSIUS);

exports.handler = async (event, context) => {
  if (typeof event.celsius !== 'number') {
    throw new TypeError(`${event.room} sent no temperature`); // runs the rule's errorAction
  }
  const heating = event.celsius < wanted ? 'on' : 'off';
  console.log('%s has %d °C: heating %s', event.room, event.celsius, heating);
  return { room: event.room, heating, by: context.functionName };
};
