exports.handler = async (event) => ({ stage: process.env.STAGE, device: event.device, rounded: Math.round(event.temperature) });
