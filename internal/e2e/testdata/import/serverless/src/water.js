module.exports.handler = async ({ plant, moisture }) => ({ plant, litres: (20 - moisture) / 10, stage: process.env.STAGE });
