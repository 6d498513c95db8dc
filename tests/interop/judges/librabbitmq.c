/* librabbitmq (rabbitmq-c): the C client's own framing against the broker.
 * Usage: librabbitmq HOST PORT. Prints `ok NAME` or `FAIL NAME`, then the totals. */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

static int passed, failed;

static void check(const char *name, int good) {
  printf("%s librabbitmq %s\n", good ? "ok" : "FAIL", name);
  if (good) passed++; else failed++;
}

/* The code with which the broker closed the channel or the connection; 0 for none. */
static int refusal(amqp_connection_state_t connection) {
  amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
  if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION) return 0;
  if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
    return ((amqp_channel_close_t *)reply.reply.decoded)->reply_code;
  if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD)
    return ((amqp_connection_close_t *)reply.reply.decoded)->reply_code;
  return -1;
}

static int fine(amqp_connection_state_t connection) {
  return amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL;
}

static amqp_connection_state_t dial(const char *host, int port, int frame_max) {
  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  if (amqp_socket_open(socket, host, port) != AMQP_STATUS_OK) exit(2);
  amqp_rpc_reply_t reply = amqp_login(connection, "/", 0, frame_max, 0, AMQP_SASL_METHOD_PLAIN,
                                      "guest", "guest");
  if (reply.reply_type != AMQP_RESPONSE_NORMAL) exit(3);
  return connection;
}

static amqp_bytes_t own_queue(amqp_connection_state_t connection, int channel) {
  amqp_queue_declare_ok_t *answer = amqp_queue_declare(connection, channel, amqp_empty_bytes, 0, 0,
                                                       1, 0, amqp_empty_table);
  return answer ? amqp_bytes_malloc_dup(answer->queue) : amqp_empty_bytes;
}

/* Takes one message with basic.get, waiting for it; 1 when its body is as wanted. */
static int got(amqp_connection_state_t connection, amqp_bytes_t queue, amqp_bytes_t wanted) {
  for (int turn = 0; turn < 500; turn++) {
    amqp_rpc_reply_t reply = amqp_basic_get(connection, 1, queue, 1);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) return 0;
    if (reply.reply.id == AMQP_BASIC_GET_EMPTY_METHOD) {
      struct timeval pause = {0, 10000};
      select(0, NULL, NULL, NULL, &pause);
      continue;
    }
    amqp_message_t message;
    reply = amqp_read_message(connection, 1, &message, 0);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) return 0;
    int same = message.body.len == wanted.len &&
               memcmp(message.body.bytes, wanted.bytes, wanted.len) == 0;
    amqp_destroy_message(&message);
    return same;
  }
  return 0;
}

static void bodies(amqp_connection_state_t connection, int frame_max) {
  amqp_bytes_t queue = own_queue(connection, 1);
  size_t step = frame_max - 8, sizes[] = {0, 1, 65536, step - 1, step, step + 1, 2 * step, 9000000};
  for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) {
    amqp_bytes_t body = amqp_bytes_malloc(sizes[at]);
    for (size_t i = 0; i < sizes[at]; i++) ((unsigned char *)body.bytes)[i] = rand();
    amqp_basic_publish(connection, 1, amqp_empty_bytes, queue, 0, 0, NULL, body);
    char name[80];
    snprintf(name, sizeof name, "%zu bytes with frames of %d", sizes[at], frame_max);
    check(name, got(connection, queue, body));
    amqp_bytes_free(body);
  }
  amqp_bytes_free(queue);
}

/* Confirms: every tag up to `count` is covered, whatever the broker batches. */
static void confirms(amqp_connection_state_t connection, int count) {
  amqp_bytes_t queue = own_queue(connection, 1);
  amqp_channel_open(connection, 2);
  check("open a second channel", fine(connection));
  amqp_confirm_select(connection, 2);
  check("confirm.select", fine(connection));
  amqp_basic_properties_t properties = {0};
  properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG;
  properties.delivery_mode = 2;
  for (int i = 0; i < count; i++)
    amqp_basic_publish(connection, 2, amqp_empty_bytes, queue, 0, 0, &properties,
                       amqp_cstring_bytes("x"));
  char *seen = calloc(count + 1, 1);
  int open = count;
  while (open > 0) {
    amqp_frame_t frame;
    struct timeval wait = {5, 0};
    if (amqp_simple_wait_frame_noblock(connection, &frame, &wait) != AMQP_STATUS_OK) break;
    if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
      continue;
    amqp_basic_ack_t *ack = frame.payload.method.decoded;
    for (uint64_t t = ack->multiple ? 1 : ack->delivery_tag; t <= ack->delivery_tag; t++)
      if (t <= (uint64_t)count && !seen[t]) { seen[t] = 1; open--; }
  }
  free(seen);
  check("500 publishes are confirmed", open == 0);
  amqp_queue_purge_ok_t *purged = amqp_queue_purge(connection, 1, queue);
  check("and purged", purged && purged->message_count == (uint32_t)count);
  amqp_bytes_free(queue);
}

static void consume(amqp_connection_state_t connection) {
  amqp_bytes_t queue = own_queue(connection, 1);
  amqp_basic_qos(connection, 1, 0, 10, 0);
  amqp_basic_consume(connection, 1, queue, amqp_cstring_bytes("tag"), 0, 0, 0, amqp_empty_table);
  check("basic.consume", fine(connection));
  char body[20];
  for (int i = 0; i < 200; i++) {
    snprintf(body, sizeof body, "%d", i);
    amqp_basic_publish(connection, 1, amqp_empty_bytes, queue, 0, 0, NULL,
                       amqp_cstring_bytes(body));
  }
  int found = 0;
  for (; found < 200; found++) {
    amqp_envelope_t envelope;
    struct timeval wait = {5, 0};
    amqp_rpc_reply_t reply = amqp_consume_message(connection, &envelope, &wait, 0);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) break;
    snprintf(body, sizeof body, "%d", found);
    int same = envelope.message.body.len == strlen(body) &&
               memcmp(envelope.message.body.bytes, body, strlen(body)) == 0;
    amqp_basic_ack(connection, 1, envelope.delivery_tag, 0);
    amqp_destroy_envelope(&envelope);
    if (!same) break;
  }
  check("200 consumed in order, ten at a time", found == 200);
  amqp_basic_cancel(connection, 1, amqp_cstring_bytes("tag"));
  check("basic.cancel", fine(connection));
  amqp_bytes_free(queue);
}

static void errors(amqp_connection_state_t connection) {
  amqp_channel_open(connection, 5);
  amqp_queue_declare(connection, 5, amqp_cstring_bytes("c.none"), 1, 0, 0, 0, amqp_empty_table);
  check("a passive declare of nothing is 404", refusal(connection) == 404);
  amqp_channel_close_ok_t answer = {0};
  amqp_send_method(connection, 5, AMQP_CHANNEL_CLOSE_OK_METHOD, &answer);
  amqp_channel_open(connection, 5);
  check("the channel opens again", fine(connection));
  amqp_exchange_declare(connection, 5, amqp_cstring_bytes("amq.own"), amqp_cstring_bytes("direct"),
                        0, 0, 0, 0, amqp_empty_table);
  check("a reserved name is 403", refusal(connection) == 403);
  amqp_send_method(connection, 5, AMQP_CHANNEL_CLOSE_OK_METHOD, &answer);
}

static void transaction(amqp_connection_state_t connection) {
  amqp_bytes_t queue = own_queue(connection, 1);
  amqp_channel_open(connection, 7);
  amqp_tx_select(connection, 7);
  amqp_basic_publish(connection, 7, amqp_empty_bytes, queue, 0, 0, NULL, amqp_cstring_bytes("no"));
  amqp_tx_rollback(connection, 7);
  amqp_basic_publish(connection, 7, amqp_empty_bytes, queue, 0, 0, NULL, amqp_cstring_bytes("yes"));
  amqp_tx_commit(connection, 7);
  check("tx.commit", fine(connection));
  check("only the committed message is there", got(connection, queue, amqp_cstring_bytes("yes")));
  amqp_bytes_free(queue);
}

int main(int count, char **words) {
  if (count != 3) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  int port = atoi(words[2]), sizes[] = {131072, 4096};
  for (int at = 0; at < 2; at++) {
    amqp_connection_state_t connection = dial(words[1], port, sizes[at]);
    amqp_channel_open(connection, 1);
    check("open", fine(connection));
    bodies(connection, sizes[at]);
    if (at == 0) {
      confirms(connection, 500);
      consume(connection);
      errors(connection);
      transaction(connection);
    }
    amqp_rpc_reply_t reply = amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    check("close", reply.reply_type == AMQP_RESPONSE_NORMAL);
    amqp_destroy_connection(connection);
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
