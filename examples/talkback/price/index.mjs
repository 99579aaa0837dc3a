const prices = { espresso: 2.2, flat_white: 3.6 };

export const handler = async ({ drink }) => prices[drink] ?? 3;
