// A handler as people write them for an Amazon API Gateway WebSocket API: it knows nothing
// of topicwire.
import {
  ApiGatewayManagementApiClient,
  DeleteConnectionCommand,
  GetConnectionCommand,
  PostToConnectionCommand,
} from '@aws-sdk/client-apigatewaymanagementapi';

const left = []; // who has gone, and how

export const handler = async (event) => {
  const { routeKey, connectionId, domainName, stage } = event.requestContext;
  const api = new ApiGatewayManagementApiClient({ endpoint: `https://${domainName}/${stage}` });
  const post = (id, value) =>
    api.send(new PostToConnectionCommand({ ConnectionId: id, Data: JSON.stringify(value) }));

  switch (routeKey) {
    case '$connect': {
      const query = event.queryStringParameters ?? {};
      if (query.token === 'wrong') return { statusCode: 401, body: 'Unauthorized' };
      if (query.token === 'crash') throw new Error('it broke');
      const offered = event.headers['Sec-WebSocket-Protocol'];
      return { statusCode: 200, headers: offered ? { 'Sec-WebSocket-Protocol': offered.split(',')[0].trim() } : {} };
    }
    case '$disconnect':
      left.push({ connectionId, code: event.requestContext.disconnectStatusCode, reason: event.requestContext.disconnectReason });
      return { statusCode: 200 };
    case 'event': // what the handler sees, over @connections
      await post(connectionId, event);
      return { statusCode: 200 };
    case 'post': {
      const { to, text } = JSON.parse(event.body);
      try {
        await post(to, { from: connectionId, text });
        return { statusCode: 200, body: 'sent' };
      } catch (e) {
        return { statusCode: 200, body: `${e.name} ${e.$metadata.httpStatusCode}` };
      }
    }
    case 'look': {
      const { to } = JSON.parse(event.body);
      const c = await api.send(new GetConnectionCommand({ ConnectionId: to }));
      return { statusCode: 200, body: JSON.stringify({ age: c.ConnectedAt instanceof Date, ip: c.Identity.SourceIp, agent: c.Identity.UserAgent }) };
    }
    case 'kick':
      await api.send(new DeleteConnectionCommand({ ConnectionId: JSON.parse(event.body).to }));
      return { statusCode: 200 };
    case 'left':
      return { statusCode: 200, body: JSON.stringify(left) };
    case 'crash':
      throw new Error('it broke');
    case 'undefined':
      return undefined;
    default:
      return { statusCode: 200, body: `default got ${event.body}` };
  }
};
