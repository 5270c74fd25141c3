// A BACnet device of the node-bacnet stack: analog inputs 1..60, a commandable analog value, change of value.
// usage: node device.js ADDRESS PORT     prints "ready", then one line for each write it took
'use strict';
const Bacnet = require('node-bacnet');
const {PropertyIdentifier: P, ObjectType: O, ApplicationTag: T, ConfirmedServiceChoice: S} = Bacnet.enum;

const INSTANCE = 1201;
const client = new Bacnet({interface: process.argv[2], port: Number(process.argv[3]), apduTimeout: 1000});
const slots = new Array(16).fill(null);
const present = () => slots.find((value) => value !== null) ?? 21.0;

function read(object, property) {
  const real = (value) => [{type: T.REAL, value}];
  if (object.type === O.DEVICE && object.instance === INSTANCE) {
    if (property.id === P.OBJECT_IDENTIFIER) return [{type: T.OBJECTIDENTIFIER, value: object}];
    if (property.id === P.OBJECT_NAME) return [{type: T.CHARACTER_STRING, value: 'node'}];
  }
  if (object.type === O.ANALOG_INPUT && object.instance >= 1 && object.instance <= 60) {
    if (property.id === P.PRESENT_VALUE) return real(object.instance / 2);
    if (property.id === P.STATUS_FLAGS) return [{type: T.BIT_STRING, value: {value: [0], bitsUsed: 4}}];
  }
  if (object.type === O.ANALOG_VALUE && object.instance === 1) {
    if (property.id === P.PRESENT_VALUE) return real(present());
    if (property.id === P.PRIORITY_ARRAY && property.index >= 1 && property.index <= 16) {
      const value = slots[property.index - 1];
      return value === null ? [{type: T.NULL, value: null}] : real(value);
    }
  }
  return null;
}

const error = (known) => [{value: {type: 'BacnetError', errorClass: known ? 2 : 1, errorCode: known ? 32 : 31}}];

client.on('whoIs', (message) => client.iAmResponse(message.header.sender, INSTANCE, 3, 999));

client.on('readProperty', (message) => {
  const {objectId, property} = message.payload;
  const value = read(objectId, property);
  if (value) client.readPropertyResponse(message.header.sender, message.invokeId, objectId, property, value);
  else client.errorResponse(message.header.sender, S.READ_PROPERTY, message.invokeId, 1, 31);
});

client.on('readPropertyMultiple', (message) => {
  const results = message.payload.properties.map(({objectId, properties}) => ({
    objectId,
    values: properties.map((property) => ({property, value: read(objectId, property) || error(false)})),
  }));
  client.readPropertyMultipleResponse(message.header.sender, message.invokeId, results);
});

client.on('writeProperty', (message) => {
  const {objectId, value} = message.payload;
  const sender = message.header.sender;
  if (objectId.type !== O.ANALOG_VALUE) {
    client.errorResponse(sender, S.WRITE_PROPERTY, message.invokeId, 2, 40);
    return;
  }
  const {type, value: wanted} = value.value[0];
  slots[(value.priority || 16) - 1] = type === T.NULL ? null : wanted;
  console.log(JSON.stringify({type, value: wanted, priority: value.priority}));
  client.simpleAckResponse(sender, S.WRITE_PROPERTY, message.invokeId);
});

client.on('subscribeCov', (message) => {
  const sender = message.header.sender;
  client.simpleAckResponse(sender, S.SUBSCRIBE_COV, message.invokeId);
  const object = message.payload.monitoredObjectId;
  if (message.payload.cancellationRequest) return;
  client.unconfirmedCOVNotification(sender.address, message.payload.subscriberProcessId, INSTANCE, object, 60, [
    {property: {id: P.PRESENT_VALUE}, value: [{type: T.REAL, value: 30.5}]},
    {property: {id: P.STATUS_FLAGS}, value: [{type: T.BIT_STRING, value: {value: [0], bitsUsed: 4}}]},
  ]);
});

client.on('subscribeProperty', (message) => {
  client.errorResponse(message.header.sender, S.SUBSCRIBE_COV_PROPERTY, message.invokeId, 5, 45);
});

client.on('listening', () => console.log('ready'));
client.on('error', (problem) => console.error(problem));
