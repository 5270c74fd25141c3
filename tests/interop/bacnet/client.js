// Reads a device with the node-bacnet stack and prints what it got as one JSON object.
// usage: node client.js ADDRESS PORT DEVICE:PORT DEVICE_INSTANCE OBJECT_TYPE OBJECT_INSTANCE
'use strict';
const Bacnet = require('node-bacnet');
const {PropertyIdentifier: P} = Bacnet.enum;

const [address, port, target, device, type, instance] = process.argv.slice(2);
const client = new Bacnet({interface: address, port: Number(port), apduTimeout: 2000});
const receiver = {address: target};
const objectId = {type: Number(type), instance: Number(instance)};
const call = (ask) => new Promise((done) => ask((problem, value) => done(problem ? {error: String(problem)} : value)));

async function main() {
  const found = new Promise((done) => client.on('iAm', (message) => done(message.payload)));
  client.whoIs(receiver, {});
  const iAm = await Promise.race([found, new Promise((done) => setTimeout(() => done(null), 2000))]);
  const value = await call((next) => client.readProperty(receiver, objectId, P.PRESENT_VALUE, {}, next));
  const name = await call((next) => client.readProperty(receiver, {type: 8, instance: Number(device)}, P.OBJECT_NAME, {}, next));
  const multiple = await call((next) => client.readPropertyMultiple(receiver, [
    {objectId, properties: [{id: P.PRESENT_VALUE}, {id: P.OBJECT_NAME}, {id: P.UNITS}]},
  ], {}, next));
  const write = await call((next) => client.writeProperty(receiver, {type: 8, instance: Number(device)}, P.OBJECT_NAME,
    [{type: 7, value: 'mine'}], {}, next));
  console.log(JSON.stringify({
    instance: iAm && iAm.deviceId,
    value: value.values && value.values[0].value,
    name: name.values && name.values[0].value,
    multiple: multiple.values && multiple.values[0].values.map((item) => item.value[0].value),
    write,
  }));
  client.close();
  process.exit(0);
}

client.on('listening', main);
