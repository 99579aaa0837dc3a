// Drives aws-iot-device-sdk-v2: node device_v2.mjs OPTIONS-AS-JSON, with mode one of
// certificate (MQTT by ALPN), authorizer (MQTT by ALPN, user name and token) and sigv4
// (MQTT over WebSocket). One client subscribes, the other publishes and is a witness.
import { createRequire } from "node:module";
const { mqtt, iot, io, auth } = createRequire(import.meta.url)("aws-iot-device-sdk-v2");

const o = JSON.parse(process.argv[2]);
const builder = () => {
  switch (o.mode) {
    case "certificate":
      return iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(o.cert, o.key);
    case "authorizer":
      return iot.AwsIotMqttConnectionConfigBuilder.new_default_builder()
        .with_custom_authorizer(o.username, o.authorizer, o.signature ?? "", o.password, o.tokenKey, o.token);
    case "sigv4":
      return iot.AwsIotMqttConnectionConfigBuilder.new_with_websockets({
        region: o.region, credentials_provider: auth.AwsCredentialsProvider.newStatic(o.id, o.secret, o.sessionToken),
      });
  }
};
const client = new mqtt.MqttClient(new io.ClientBootstrap());
const connect = async (id) => {
  const config = builder().with_certificate_authority_from_path(undefined, o.ca).with_clean_session(true)
    .with_client_id(id).with_endpoint(o.host).with_port(o.port).build();
  const c = client.new_connection(config);
  await c.connect();
  return c;
};
try {
  const watcher = await connect("watcher");
  const got = new Promise((resolve) => watcher.subscribe("lamp/#", mqtt.QoS.AtLeastOnce, (topic, payload) => resolve(`${topic} ${Buffer.from(payload)}`))
    .then(async () => {
      const lamp = await connect("lamp");
      await lamp.publish("lamp/state", "on", mqtt.QoS.AtLeastOnce);
      await lamp.disconnect();
    }));
  console.log(JSON.stringify([await got]));
  await watcher.disconnect();
  process.exit(0);
} catch (err) {
  console.error(String(err));
  process.exit(3);
}
