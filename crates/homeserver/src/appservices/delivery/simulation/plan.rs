//! What happens in a run: a list of steps, made from a seed.

use crate::random::Random;

/// Services in a run. The last one is the good neighbour: no step harms it, and it must be served
/// at once whatever happens to the others.
pub(super) const SERVICES: usize = 4;
/// The good neighbour.
pub(super) const NEIGHBOUR: usize = SERVICES - 1;
/// Rooms in a run.
pub(super) const ROOMS: usize = 3;
/// The service that takes typing and receipts.
pub(super) const EPHEMERAL: usize = 2;
/// Services whose users have devices that get to-device messages.
pub(super) const ENCRYPTING: [usize; 2] = [1, 2];

/// One run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Where it came from; also seeds the chances taken while it runs.
    pub(super) seed: u64,
    /// The database is a file, not memory.
    pub(super) on_disk: bool,
    /// What happens.
    pub(super) steps: Vec<Step>,
}

/// How a service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// 200, soon.
    Healthy,
    /// 200, after this many milliseconds: drop by drop, maybe too late.
    Slow(u64),
    /// No answer at all; `true`: but it has taken the events.
    Hang(bool),
    /// This status, with a page of HTML.
    Refuse(u16),
    /// 413 for more than this many entries.
    TooLarge(usize),
    /// The connection breaks; `true`: after the service has taken the events.
    Cut(bool),
    /// This many acknowledgements get lost (the events are taken), then it is healthy.
    AckLost(u32),
    /// Nobody listens.
    Down,
}

impl Behaviour {
    /// Whether it acknowledges, soon.
    pub(super) fn is_healthy(self) -> bool {
        self == Self::Healthy
    }
}

/// Who pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A person.
    Operator,
    /// The service.
    Service,
}

impl By {
    /// Its name in the database.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Service => "service",
        }
    }
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Somebody sends this many messages of this size.
    Send {
        room: usize,
        count: u32,
        bytes: usize,
    },
    /// Somebody sends a message that this service cannot take.
    Poison { room: usize, service: usize },
    /// A second user of the service joins or leaves the room.
    Member {
        room: usize,
        service: usize,
        joins: bool,
    },
    /// A to-device message for a user of the service.
    ToDevice { service: usize },
    /// The devices of a user of the service change.
    DeviceList { service: usize },
    /// Somebody has read something.
    Receipt { room: usize },
    /// Somebody types, as the service is told that takes ephemeral data.
    Typing,
    /// From now on the service answers like this.
    Behave {
        service: usize,
        behaviour: Behaviour,
    },
    /// Time goes by.
    Advance { ms: u64 },
    /// The service sends a request.
    SignOfLife { service: usize },
    /// The delivery is held, for ever or for some milliseconds.
    Pause {
        service: usize,
        by: By,
        for_ms: Option<u64>,
    },
    /// The hold ends.
    Resume { service: usize, by: By },
    /// The transaction in flight is skipped.
    Skip { service: usize },
    /// A person asks for an attempt, or brings the service back.
    Retry { service: usize },
    /// A person gives the service up.
    Fail { service: usize },
    /// What was delivered is sent once more: the last so many positions.
    Replay { service: usize, back: u64 },
    /// A skipped transaction is sent once more.
    ReplaySkip { service: usize },
    /// Deliver what there is, then pause.
    Drain { service: usize },
    /// What happens to a stuck event.
    Policy { service: usize, after: Option<u32> },
    /// The server is cut off at the so many-th point from now at which it may be (0: now), and
    /// started again.
    Crash { points: u32 },
}

/// The plan of a seed.
pub(super) fn generate(seed: u64) -> Plan {
    let dice = Dice(Random::seeded(seed));
    let length = 12 + dice.below(28);
    let faults = 1 + dice.below(4);
    let mut steps = vec![dice.send()];
    while steps.len() < length {
        steps.push(dice.step(faults));
    }
    Plan {
        seed,
        on_disk: seed.is_multiple_of(16),
        steps,
    }
}

struct Dice(Random);

impl Dice {
    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.0.below(bound as u64)).expect("below a usize")
    }

    fn one<T: Copy>(&self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// One that may be harmed.
    fn service(&self) -> usize {
        self.below(NEIGHBOUR)
    }

    fn room(&self) -> usize {
        self.below(ROOMS)
    }

    fn send(&self) -> Step {
        Step::Send {
            room: self.room(),
            count: self.one(&[1, 1, 1, 2, 3, 8]),
            bytes: self.one(&[4, 4, 4, 300, 1500]),
        }
    }

    /// `faults` says how much of the plan is trouble.
    fn step(&self, faults: usize) -> Step {
        match self.below(12 + 3 * faults) {
            0..=4 => self.send(),
            5 => self.said(),
            6..=8 => Step::Advance {
                ms: self.one(&[1, 3, 20, 150, 700, 2_500, 9_000, 21_000]),
            },
            9 | 10 => Step::Behave {
                service: self.service(),
                behaviour: self.behaviour(),
            },
            11 => Step::SignOfLife {
                service: self.service(),
            },
            _ => match self.below(10) {
                0..=2 => Step::Crash {
                    points: self.one(&[0, 1, 2, 3, 4, 5, 6, 8, 11, 15, 20, 30]),
                },
                3 | 4 => Step::Behave {
                    service: self.service(),
                    behaviour: self.behaviour(),
                },
                5 => Step::Poison {
                    room: self.room(),
                    service: self.service(),
                },
                _ => self.order(),
            },
        }
    }

    /// Something other than a message.
    fn said(&self) -> Step {
        match self.below(5) {
            0 => Step::ToDevice {
                service: self.one(&ENCRYPTING),
            },
            1 => Step::DeviceList {
                service: self.one(&ENCRYPTING),
            },
            2 => Step::Receipt { room: self.room() },
            3 => Step::Typing,
            _ => Step::Member {
                room: self.room(),
                service: self.service(),
                joins: self.below(3) > 0,
            },
        }
    }

    fn behaviour(&self) -> Behaviour {
        match self.below(12) {
            0..=2 => Behaviour::Healthy,
            3 => Behaviour::Slow(self.one(&[50, 900, 9_990, 10_010, 15_000])),
            4 => Behaviour::Hang(self.below(2) == 0),
            5 | 6 => Behaviour::Refuse(self.one(&[400, 401, 404, 413, 422, 429, 500, 502, 503])),
            7 => Behaviour::TooLarge(self.one(&[1, 2, 3])),
            8 => Behaviour::Cut(false),
            9 => Behaviour::Cut(true),
            10 => Behaviour::AckLost(self.one(&[1, 2, 4])),
            _ => Behaviour::Down,
        }
    }

    /// What a person orders, or the service.
    fn order(&self) -> Step {
        let service = self.service();
        let by = self.one(&[By::Operator, By::Service]);
        match self.below(13) {
            0 | 1 => Step::Pause {
                service,
                by,
                for_ms: self.one(&[None, None, Some(40), Some(5_000)]),
            },
            2 | 3 => Step::Resume { service, by },
            4 | 5 => Step::Skip { service },
            6 | 7 => Step::Retry { service },
            8 => Step::Fail { service },
            9 => Step::Replay {
                service,
                back: self.one(&[1, 4, 12, 1_000]),
            },
            10 => Step::ReplaySkip { service },
            11 => Step::Drain { service },
            _ => Step::Policy {
                service,
                after: self.one(&[None, Some(2), Some(4)]),
            },
        }
    }
}
