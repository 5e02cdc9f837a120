// iceoryx, untyped: loaned, written, published; taken, read in place, released. Nobody may lose
// messages: both sides are told to block. A RouDi has to run, with pools for the sizes here.

#include <iceoryx_hoofs/log/logmanager.hpp>
#include <iceoryx_posh/popo/untyped_publisher.hpp>
#include <iceoryx_posh/popo/untyped_subscriber.hpp>
#include <iceoryx_posh/popo/wait_set.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>

#include "peer.h"

static iox::popo::UntypedPublisher *publisher;
static iox::popo::UntypedSubscriber *subscriber;
static iox::popo::WaitSet<> *waits;
static const void *taken;

static const char *peer_left_out(const struct peer *peer)
{
	(void)peer;
	return nullptr;
}

static iox::capro::ServiceDescription describe(const struct peer *peer, const char *channel)
{
	char run[128];

	snprintf(run, sizeof(run), "%s", peer->run);
	return {"ayre-peers", iox::capro::IdString_t(iox::cxx::TruncateToCapacity, run),
	        iox::capro::IdString_t(iox::cxx::TruncateToCapacity, channel)};
}

static void open_subscriber(const struct peer *peer, const char *channel)
{
	iox::popo::SubscriberOptions options;

	options.queueCapacity = peer->bytes > 4096 ? 16 : 256;
	options.queueFullPolicy = iox::popo::QueueFullPolicy::BLOCK_PRODUCER;
	subscriber = new iox::popo::UntypedSubscriber(describe(peer, channel), options);
	if (!peer->sleeps)
		return;
	waits = new iox::popo::WaitSet<>();
	waits->attachState(*subscriber, iox::popo::SubscriberState::HAS_DATA)
		.or_else([](auto &) { peer_fail("attachState"); });
}

static void peer_open(struct peer *peer, const char *sends, const char *receives)
{
	char name[128];

	iox::log::LogManager::GetLogManager().SetDefaultLogLevel(
		iox::log::LogLevel::kOff, iox::log::LogLevelOutput::kHideLogLevel);
	snprintf(name, sizeof(name), "ayre-peers-%d", getpid());
	iox::runtime::PoshRuntime::initRuntime(
		iox::RuntimeName_t(iox::cxx::TruncateToCapacity, name));
	if (sends) {
		iox::popo::PublisherOptions options;

		options.subscriberTooSlowPolicy =
			iox::popo::ConsumerTooSlowPolicy::WAIT_FOR_CONSUMER;
		publisher = new iox::popo::UntypedPublisher(describe(peer, sends), options);
	}
	if (receives)
		open_subscriber(peer, receives);
	while (receives && subscriber->getSubscriptionState() != iox::SubscribeState::SUBSCRIBED)
		usleep(100);
	while (sends && !publisher->hasSubscribers())
		usleep(100);
}

static void peer_close(struct peer *peer)
{
	(void)peer;
	delete waits;
	delete subscriber;
	delete publisher;
}

static void peer_send(struct peer *peer, const void *data)
{
	publisher->loan(static_cast<uint32_t>(peer->bytes))
		.and_then([&](void *room) {
			memcpy(room, data, peer->bytes);
			publisher->publish(room);
		})
		.or_else([](auto &) { peer_fail("loan"); });
}

static bool take()
{
	bool done = false;

	subscriber->take().and_then([&](const void *data) {
		taken = data;
		done = true;
	});
	return done;
}

static const void *peer_receive(struct peer *peer)
{
	while (!take()) {
		if (peer->sleeps)
			waits->wait();
		else
			peer_turn(peer);
	}
	return taken;
}

static void peer_release(struct peer *peer)
{
	(void)peer;
	subscriber->release(taken);
}
