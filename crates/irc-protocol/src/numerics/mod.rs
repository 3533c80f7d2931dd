//! Numerics: what a server answers, by number, and what a refusal means in words for a person.
//!
//! The names are those of the specifications and servers (defs.ircdocs.horse), so that they can be searched for. Where servers
//! give one number several meanings, the most common one has the name, and [`explain`] looks at the text as well.

mod explain;
mod fail;
mod refusals;
mod sending;

pub use self::{
    explain::{Explanation, explain},
    fail::explain_fail,
};

macro_rules! numerics {
    ($($name:ident = $number:literal, $what:literal;)*) => {
        $(
            #[doc = $what]
            pub const $name: u16 = $number;
        )*
    };
}

numerics! {
    RPL_WELCOME = 1, "Registration is done; the first parameter is the nick that one has.";
    RPL_YOURHOST = 2, "The server's name and version, as a text.";
    RPL_CREATED = 3, "When the server was made.";
    RPL_MYINFO = 4, "The server's name, its version and its modes.";
    RPL_ISUPPORT = 5, "What the server supports.";
    RPL_BOUNCE = 10, "Another server should be used.";
    RPL_SAVENICK = 43, "The nick was lost in a collision, and became the unique id.";
    RPL_UMODEIS = 221, "One's own modes.";
    RPL_TRYAGAIN = 263, "The server is too busy for the command, or it came too often.";
    RPL_AWAY = 301, "Somebody is away, and why.";
    RPL_USERHOST = 302, "Hosts of nicks.";
    RPL_UNAWAY = 305, "One is no longer away.";
    RPL_NOWAWAY = 306, "One is away.";
    RPL_WHOISREGNICK = 307, "WHOIS: the nick is registered and identified for.";
    RPL_WHOISUSER = 311, "WHOIS: user, host and real name.";
    RPL_WHOISSERVER = 312, "WHOIS: the server.";
    RPL_WHOISOPERATOR = 313, "WHOIS: an operator of the network.";
    RPL_WHOWASUSER = 314, "WHOWAS: user, host and real name.";
    RPL_ENDOFWHO = 315, "WHO ends.";
    RPL_WHOISIDLE = 317, "WHOIS: seconds idle, and since when connected.";
    RPL_ENDOFWHOIS = 318, "WHOIS ends.";
    RPL_WHOISCHANNELS = 319, "WHOIS: channels.";
    RPL_WHOISSPECIAL = 320, "WHOIS: anything else.";
    RPL_LISTSTART = 321, "LIST begins.";
    RPL_LIST = 322, "LIST: a channel, its members' number and its topic.";
    RPL_LISTEND = 323, "LIST ends.";
    RPL_CHANNELMODEIS = 324, "A channel's modes.";
    RPL_CREATIONTIME = 329, "When a channel was made, in seconds since 1970.";
    RPL_WHOISACCOUNT = 330, "WHOIS: the account.";
    RPL_NOTOPIC = 331, "A channel has no topic.";
    RPL_TOPIC = 332, "A channel's topic.";
    RPL_TOPICWHOTIME = 333, "Who set a topic, and when.";
    RPL_WHOISBOT = 335, "WHOIS: a bot.";
    RPL_WHOISACTUALLY = 338, "WHOIS: the real host or address.";
    RPL_INVITING = 341, "An invitation was sent.";
    RPL_INVITELIST = 346, "A mask that needs no invitation.";
    RPL_ENDOFINVITELIST = 347, "The masks that need no invitation end.";
    RPL_EXCEPTLIST = 348, "A mask that no ban means.";
    RPL_ENDOFEXCEPTLIST = 349, "The masks that no ban means end.";
    RPL_VERSION = 351, "The server's version.";
    RPL_WHOREPLY = 352, "WHO: a person.";
    RPL_NAMREPLY = 353, "NAMES: members of a channel.";
    RPL_WHOSPCRPL = 354, "WHO with chosen fields (WHOX).";
    RPL_ENDOFNAMES = 366, "NAMES ends.";
    RPL_BANLIST = 367, "A ban.";
    RPL_ENDOFBANLIST = 368, "The bans end.";
    RPL_ENDOFWHOWAS = 369, "WHOWAS ends.";
    RPL_MOTD = 372, "A line of the message of the day.";
    RPL_MOTDSTART = 375, "The message of the day begins.";
    RPL_ENDOFMOTD = 376, "The message of the day ends; from here on channels can be joined.";
    RPL_WHOISHOST = 378, "WHOIS: the real host and address.";
    RPL_WHOISMODES = 379, "WHOIS: modes.";
    RPL_YOUREOPER = 381, "One is an operator of the network.";
    RPL_VISIBLEHOST = 396, "One's own host as others see it.";
    ERR_UNKNOWNERROR = 400, "Anything that has no number of its own.";
    ERR_NOSUCHNICK = 401, "Nobody has that nick.";
    ERR_NOSUCHSERVER = 402, "No server has that name.";
    ERR_NOSUCHCHANNEL = 403, "No channel has that name, or none may.";
    ERR_CANNOTSENDTOCHAN = 404, "One may not speak in a channel.";
    ERR_TOOMANYCHANNELS = 405, "One is in as many channels as one may be.";
    ERR_WASNOSUCHNICK = 406, "Nobody had that nick.";
    ERR_TOOMANYTARGETS = 407, "Too many were meant.";
    ERR_NOCTRLSONCHAN = 408, "A channel takes no formatting.";
    ERR_INVALIDCAPCMD = 410, "A `CAP` that the server does not know.";
    ERR_NORECIPIENT = 411, "A message to nobody.";
    ERR_NOTEXTTOSEND = 412, "A message without text.";
    ERR_NOTOPLEVEL = 413, "A message to everybody.";
    ERR_CANNOTSENDRP = 415, "A channel takes messages of those alone who are logged in (Solanum).";
    ERR_TOOMANYMATCHES = 416, "The answer was cut.";
    ERR_INPUTTOOLONG = 417, "A line was too long, and was dropped.";
    ERR_UNKNOWNCOMMAND = 421, "A command that the server does not know.";
    ERR_NOMOTD = 422, "There is no message of the day; from here on channels can be joined.";
    ERR_NONICKNAMEGIVEN = 431, "A nick is missing.";
    ERR_ERRONEUSNICKNAME = 432, "A nick that nobody may have.";
    ERR_NICKNAMEINUSE = 433, "A nick that somebody has.";
    ERR_BANNICKCHANGE = 435, "The nick may not be changed while one is banned in a channel.";
    ERR_NICKCOLLISION = 436, "Two have the same nick.";
    ERR_UNAVAILRESOURCE = 437, "A nick or channel is kept free for a while.";
    ERR_NICKTOOFAST = 438, "The nick was changed too often.";
    ERR_TARGETTOOFAST = 439, "Too many people were written to.";
    ERR_SERVICESDOWN = 440, "The network's services are away.";
    ERR_USERNOTINCHANNEL = 441, "Somebody is not in a channel.";
    ERR_NOTONCHANNEL = 442, "One is not in a channel oneself.";
    ERR_USERONCHANNEL = 443, "Somebody is in a channel already.";
    ERR_NONICKCHANGE = 447, "A channel does not let its members change their nicks.";
    ERR_FORBIDDENCHANNEL = 448, "A channel that nobody may join.";
    ERR_NOTREGISTERED = 451, "It came before registration was done.";
    ERR_NEEDMOREPARAMS = 461, "A parameter is missing.";
    ERR_ALREADYREGISTERED = 462, "Registration is done already.";
    ERR_NOPERMFORHOST = 463, "The server takes no connections from there.";
    ERR_PASSWDMISMATCH = 464, "The server's password is wrong.";
    ERR_YOUREBANNEDCREEP = 465, "A ban from the server.";
    ERR_YOUWILLBEBANNED = 466, "A ban from the server that is to come.";
    ERR_KEYSET = 467, "A channel has a key already.";
    ERR_LINKCHANNEL = 470, "One was sent to another channel.";
    ERR_CHANNELISFULL = 471, "A channel is full (+l).";
    ERR_UNKNOWNMODE = 472, "A mode that the server does not know.";
    ERR_INVITEONLYCHAN = 473, "A channel takes those alone who were invited (+i).";
    ERR_BANNEDFROMCHAN = 474, "One is banned from a channel (+b).";
    ERR_BADCHANNELKEY = 475, "A channel's key is missing or wrong (+k).";
    ERR_BADCHANMASK = 476, "A name that no channel may have.";
    ERR_NEEDREGGEDNICK = 477, "A channel takes those alone who are logged in.";
    ERR_BANLISTFULL = 478, "A channel's list is full.";
    ERR_BADCHANNAME = 479, "A name that no channel may have.";
    ERR_THROTTLE = 480, "A channel was joined by too many at once (+j).";
    ERR_NOPRIVILEGES = 481, "One is no operator of the network.";
    ERR_CHANOPRIVSNEEDED = 482, "One is no operator of a channel.";
    ERR_ISCHANSERVICE = 484, "Somebody is protected, or one's connection is restricted.";
    ERR_UNIQOPRIVSNEEDED = 485, "One is not a channel's owner, or may not join it.";
    ERR_NONONREG = 486, "Somebody takes messages of those alone who are logged in.";
    ERR_SECUREONLYCHAN = 489, "A channel takes encrypted connections alone; or one has no voice there.";
    ERR_ALLMUSTSSL = 490, "Not all in a channel have encrypted connections.";
    ERR_NOCTCP = 492, "No CTCP is taken there.";
    ERR_NOSHAREDCHAN = 493, "Somebody takes messages of those alone who share a channel with them.";
    ERR_OWNMODE = 494, "One would not hear somebody's answer.";
    ERR_DELAYREJOIN = 495, "One was kicked a moment ago.";
    ERR_CHANOWNPRIVNEEDED = 499, "One is not a channel's owner.";
    ERR_TOOMANYJOINS = 500, "Channels were joined too often.";
    ERR_UMODEUNKNOWNFLAG = 501, "A mode of one's own that the server does not know.";
    ERR_USERSDONTMATCH = 502, "Another's modes may not be changed.";
    ERR_WRONGPONG = 513, "A `PONG` is awaited before registration goes on.";
    ERR_BADEXPIRE = 515, "A time that the server does not take.";
    ERR_DISABLED = 517, "A command that is switched off.";
    ERR_NOINVITE = 518, "A channel takes no invitations.";
    ERR_OPERONLY = 520, "A channel takes the network's operators alone.";
    ERR_LISTSYNTAX = 521, "A `LIST` that the server does not understand.";
    ERR_HELPNOTFOUND = 524, "There is no help on that.";
    ERR_CANTSENDTOUSER = 531, "Somebody takes no messages of one's own.";
    ERR_INVALIDMASK = 572, "A mask that the server does not take.";
    RPL_WHOISSECURE = 671, "WHOIS: an encrypted connection.";
    ERR_STARTTLS = 691, "The connection could not be encrypted.";
    ERR_INVALIDMODEPARAM = 696, "A mode's parameter that the server does not take.";
    ERR_TARGCHANGE = 707, "Too many people were written to, and the message was dropped.";
    RPL_KNOCK = 710, "Somebody asks to be invited.";
    RPL_KNOCKDLVR = 711, "One's own asking was brought to a channel's operators.";
    ERR_TOOMANYKNOCK = 712, "A channel was asked too often.";
    ERR_CHANOPEN = 713, "A channel needs no asking.";
    ERR_KNOCKONCHAN = 714, "One is in a channel already.";
    ERR_KNOCKDISABLED = 715, "Asking is switched off.";
    RPL_TARGUMODEG = 716, "Somebody takes messages of chosen people alone (+g).";
    RPL_TARGNOTIFY = 717, "They were told that one wrote.";
    RPL_UMODEGMSG = 718, "Somebody wrote whom one has not chosen (+g).";
    ERR_NOPRIVS = 723, "One lacks a right as an operator of the network.";
    RPL_QUIETLIST = 728, "A quiet.";
    RPL_ENDOFQUIETLIST = 729, "The quiets end.";
    RPL_MONONLINE = 730, "Those watched who are online.";
    RPL_MONOFFLINE = 731, "Those watched who are not.";
    RPL_MONLIST = 732, "Those watched.";
    RPL_ENDOFMONLIST = 733, "Those watched end.";
    ERR_MONLISTFULL = 734, "No more can be watched.";
    ERR_MLOCKRESTRICTED = 742, "Services keep a mode as it is.";
    ERR_INVALIDBAN = 743, "A ban that the server does not take.";
    RPL_LOGGEDIN = 900, "One is logged in, and as whom.";
    RPL_LOGGEDOUT = 901, "One is no longer logged in.";
    ERR_NICKLOCKED = 902, "The account is locked, or wants another nick.";
    RPL_SASLSUCCESS = 903, "SASL is done.";
    ERR_SASLFAIL = 904, "SASL failed.";
    ERR_SASLTOOLONG = 905, "SASL: a line was too long.";
    ERR_SASLABORTED = 906, "SASL was given up.";
    ERR_SASLALREADY = 907, "SASL was done before.";
    RPL_SASLMECHS = 908, "The ways that SASL can be done.";
    ERR_BADCHANNEL = 926, "A channel that the network forbids.";
    ERR_CANNOTDOCOMMAND = 972, "A command that cannot be done here.";
}

#[cfg(test)]
mod tests;
