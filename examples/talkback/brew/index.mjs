// An unmodified Lambda function: its clients find topicwire by the environment, as they
// would find AWS.
import { IoTDataPlaneClient, PublishCommand } from '@aws-sdk/client-iot-data-plane';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';

const iot = new IoTDataPlaneClient({});
const lambda = new LambdaClient({});

const tell = (table, step) =>
  iot.send(new PublishCommand({ topic: `tables/${table}/progress`, qos: 1, payload: JSON.stringify({ step }) }));

export const handler = async ({ table, drink }) => {
  await tell(table, 'grinding');
  const { Payload } = await lambda.send(new InvokeCommand({ FunctionName: 'price', Payload: JSON.stringify({ drink }) }));
  await tell(table, 'pouring');
  return { table, drink, price: JSON.parse(Buffer.from(Payload).toString()) };
};
