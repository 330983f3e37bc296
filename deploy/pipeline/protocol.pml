/*
 * The protocol of this package as a model for Spin (spinroot.com): one target, two pushers, an admin who goes
 * back by hand, an operator, and a server that is killed. `make model` has Spin follow every order in which
 * their steps can come, and checks that
 *
 *   - the ref never names a revision that was not accepted, and none is accepted that did not pass its tests,
 *     serve and survive its watch, or was let pass by an admin;
 *   - whenever nobody is in work, ref, records and traffic say the same, or the target is frozen;
 *   - traffic always goes to something that runs;
 *   - nothing that was accepted is forced away by whoever did not see it;
 *   - nothing is frozen without a cause, and a ref that was moved past the server is not overwritten;
 *   - no order goes on for ever, and each ends with a verdict for every pusher (or the loss of its connection
 *     to a server that was killed), nobody in the line, no lock held, and an end of every deployment in the
 *     records. So the queue always moves on.
 *
 * The server is killed KILLS times: once between any two steps, once more while it settles what that left.
 * FAULTS single effects fail: a write of the log, the ref's transaction, a switch and so a put back.
 * PUSHERS is Alice and Bob; BACK is Alice, a roll back and the operator; HANDS is two deployments of which
 * at least one is a roll back.
 *
 * A step is one effect of the code: an event on disk, a move of traffic, a command to git. Names are the
 * code's. What the code reads right before an effect is read in its step.
 *
 * Left out, because it is checked elsewhere or changes nothing here: what happens within a stage; hooks;
 * other targets, which share nothing but the log; first deployments: there is always a previous release;
 * pruning; the deaths of router, keepers and instances; a log whose last line is torn (package audit: an
 * event is there whole or not at all); that what could not be recorded is recorded late (owed.go): here it is
 * settled; two faults in one story; a third kill; a kill within unfreeze; how
 * long anything takes.
 *
 * With -D and one of these names the model is broken on purpose, and `make model` wants it to fail:
 * EFFECT_BEFORE_INTENT REF_BEFORE_ACCEPTED FORGET_COMPARE FORGET_UNSETTLED SETTLE_WHAT_RUNS ENGINE_FROM_TREE
 * CLEAR_WHAT_SERVES FORGET_UNRETIRE UNFREEZE_ONLY IGNORE_WATCH TWO_AT_ONCE FORCE_BY_ACCIDENT KEEP_PLACE. Some
 * of them are what the code was like before there was a model.
 */

#ifndef FAULTS
#define FAULTS 0
#endif
#ifndef KILLS
#define KILLS 2
#endif

/* A deployment's number is its release's and its revision's too. A roll back by hand has the release, and
 * so the revision, of the deployment that it goes back to. */
#define FIRST   1 /* in production when the model begins */
#define ALICE   2
#define BOB     3
#define OLGA    4 /* the admin, who rolls back to FIRST */
#define FOREIGN 5 /* a revision that somebody wrote into the repository past the server */
#define SIZE    5

#define RELEASE(d) (again[d] -> FIRST : d)

/* The records: what the log says (deploy/store). On disk. */
mtype:status = { none, queued, running, accepted, ended };
mtype:status status[SIZE];
bool switched[SIZE];  /* switch.intended */
bool rolledBack[SIZE]; /* rollback.done */
bool refMoved[SIZE];  /* ref.moved */
byte old[SIZE];       /* the ref when its turn came */
byte previous[SIZE];  /* what served then */
byte serving = FIRST; /* TargetState: the release accepted last, and its revision */
bool frozen;

/* The machine: what a kill of the server leaves as it is. */
byte ref = FIRST;
byte traffic = FIRST;
bool kept[SIZE];    /* the release's directory */
bool started[SIZE]; /* its instances */

/* The server's memory. */
bool up;                     /* settled: pushes are heard */
byte life;                   /* how often it was killed */
chan line = [3] of { byte }; /* queue.go: the first one works */
byte lock;                   /* who has the ref's transaction prepared; git lets go when the server dies */
bool inWork[SIZE];         /* Pipeline.running */
bool retiring[SIZE];         /* retire.go */

/* What is asked for. */
bool again[SIZE]; /* a roll back by hand to FIRST */
bool stacked;     /* Bob's revision descends from Alice's */
bool external;    /* production is elsewhere: the team's own command, no instances here */

/* What only the checks look at. */
bool proved[SIZE]; /* passed its tests and survived its watch, or was let pass by an admin */
bool heard[SIZE];  /* the client has a verdict, or lost its connection */
byte faults;
bool byHand;       /* somebody moved the ref past the server */
bool unruly;       /* an admin lifted a freeze whose cause is still there */

#define FORWARD(new, now) (now == FIRST || new == now || (new == BOB && now == ALICE && stacked))

/* An effect that may fail. A write of the log that fails has written nothing. */
#define TRY(effect, otherwise) atomic { if :: faults < FAULTS -> faults++; goto otherwise :: effect fi }

/* The same for what may be done by several: it leaves err. */
#define MAYBE(effect) atomic { if :: faults < FAULTS -> faults++; err = true :: effect fi }

/* freeze: the server itself never does it without a cause. */
#define FREEZE atomic { assert(faults > 0 || byHand); if :: faults < FAULTS -> faults++ :: frozen = true fi }

/* What nobody reads again of a deployment that has ended. */
#define END(d) status[d] = ended; switched[d] = false; rolledBack[d] = false; old[d] = 0; previous[d] = 0
#define MOVED(d) refMoved[d] = true; switched[d] = false; old[d] = 0

/* Engine.Switch, which starts what does not run. One that fails has moved the traffic or not. */
#define MOVE(to) assert(kept[to]); started[to] = !external; traffic = to
#define FAIL(to) faults++; if :: kept[to] -> MOVE(to) :: skip fi

#ifdef FORGET_UNRETIRE
#define UNRETIRE skip
#else
#define UNRETIRE retiring[FIRST] = false
#endif

/* release (prepare.go), which does both beside each other: start the candidate, lock the ref. */
#define START(d, otherwise) atomic { \
	if \
	:: again[d] -> UNRETIRE \
	:: !again[d] -> kept[d] = true; started[d] = !external \
	:: kept[d] = !again[d]; goto otherwise \
	fi }
#define LOCK(d, otherwise) atomic { \
	if :: lock == 0 && ref == old[d] :: else -> goto otherwise fi; \
	if :: faults < FAULTS -> faults++; goto otherwise :: lock = d fi }

/* Commit: the one place that writes the ref. */
#define WRITE(d) ref = RELEASE(d); assert(status[d] == accepted && proved[d] && serving == ref && traffic == ref)

#ifdef CLEAR_WHAT_SERVES
#define SPARED(d) (again[d] && previous[d] == FIRST)
#else
#define SPARED(d) (RELEASE(d) == serving || RELEASE(d) == traffic)
#endif

/* clear (prepare.go): end the processes of what does not serve, then remove its trees. */
inline clear(d) {
	atomic { if :: SPARED(d) :: else -> started[RELEASE(d)] = false fi };
	atomic { if :: SPARED(d) || again[d] :: else -> kept[d] = false fi }
}

#ifdef FORGET_COMPARE
#define SAME(d) true
#else
#define SAME(d) (ref == old[d])
#endif

/* finishAccepted (settle.go): the ref of an accepted deployment. */
inline finishAccepted(d) {
	atomic {
		if
		:: ref == RELEASE(d)
		:: else ->
			if
			:: faults < FAULTS -> faults++; err = true
			:: SAME(d) -> assert(ref == old[d]); WRITE(d)
			:: !SAME(d) -> err = true
			fi
		fi
	};
	if :: !err -> MAYBE(MOVED(d); previous[d] = 0) :: else fi
}

/* undoSwitch (settle.go) */
inline undoSwitch(d) {
	MAYBE(skip); /* rollback.intended */
	atomic {
		if
		:: err
#ifdef ENGINE_FROM_TREE
		:: !err && !kept[RELEASE(d)] -> err = true
		:: !err && kept[RELEASE(d)] && faults < FAULTS -> FAIL(previous[d]); err = true
		:: !err && kept[RELEASE(d)] -> MOVE(previous[d])
#else
		:: !err && faults < FAULTS -> FAIL(previous[d]); err = true
		:: !err -> MOVE(previous[d])
#endif
		fi
	};
	if :: !err -> MAYBE(rolledBack[d] = true) :: else fi /* rollback.done */
}

#define UNSETTLED(d) (status[d] == queued || status[d] == running || (status[d] == accepted && !refMoved[d]))

#ifdef ENGINE_FROM_TREE
#define PUTBACK(d) false
#else
#define PUTBACK(d) rolledBack[d]
#endif

/* settle (settle.go): bring one deployment to its end. */
inline settle(d) {
	if
	:: status[d] == accepted -> finishAccepted(d)
	:: else ->
		if :: switched[d] && !PUTBACK(d) -> undoSwitch(d) :: else fi;
		if :: !err -> clear(d); MAYBE(END(d)) :: else fi
	fi
}

/* The next deployment from n on that has no end in the records and is not in work. */
#ifdef SETTLE_WHAT_RUNS
#define SEEK(n) atomic { do :: n <= OLGA && (!UNSETTLED(n) || line??[eval(n)]) -> n++ :: else -> break od }
#else
#define SEEK(n) atomic { do :: n <= OLGA && (!UNSETTLED(n) || inWork[n]) -> n++ :: else -> break od }
#endif

/* serve (settle.go): traffic as recorded. Production elsewhere has its own life. */
#define SERVE if :: external :: else -> MOVE(serving) fi

/* The server: Settle, then pushes are heard until it is killed. */
proctype Server() {
	byte n, mine;
	bool err;
start:
	{
		n = ALICE;
		do
		:: SEEK(n);
			if :: n > OLGA -> break :: else fi;
			settle(n);
			if :: err -> err = false; FREEZE :: else fi;
			n++
		od;
		/* agree */
		atomic { if :: ref != serving && !frozen -> FREEZE :: else fi }; /* drift */
		atomic { SERVE };
		atomic { /* Sweep */
			n = FIRST;
			do
			:: n <= OLGA -> if :: n != serving -> started[n] = false :: else fi; n++
			:: else -> break
			od;
			n = 0; up = true
		};
end:		false
	} unless { life != mine };
	atomic { mine = life; n = 0; err = false };
	goto start
}

/* SIGKILL, or a power cut: once at any time, once more while the server settles. */
proctype Kill() {
end:	do
	:: atomic {
			life < KILLS && (life == 0 || !up) ->
			up = false; lock = 0; life++;
			do :: line?_ :: empty(line) -> break od;
			retiring[FIRST] = false; retiring[ALICE] = false; retiring[BOB] = false;
			inWork[ALICE] = false; inWork[BOB] = false; inWork[OLGA] = false
		}
	od
}

/* What a push cannot be any more, now that the ref is what it is (standing, admit.go). */
#ifdef FORCE_BY_ACCIDENT
#define STALE(d) (!again[d] && !FORWARD(d, ref) && !bypass)
#define REFUSED(d) (!again[d] && !FORWARD(d, ref) && !admin)
#else
#define STALE(d) (!again[d] && !FORWARD(d, ref) && !(forces && bypass))
#define REFUSED(d) (!again[d] && !FORWARD(d, ref) && !(forces && admin))
#endif
#define BARRED(d) (frozen && !again[d])
#define MYTURN(d) (line?[eval(d)])

/* Admit, by a pusher or by who rolls back. */
proctype Push(byte d) {
	bool admin, bypass, forces, unrecorded, err;
	byte mine, n;
	atomic { up -> mine = life; forces = (d == BOB && !FORWARD(d, ref)) }; /* what git shows the pusher */
	{
		/* check, complete, open */
		atomic {
			if
#ifndef PUSHERS
			:: d != ALICE -> again[d] = true
#endif
			:: d != OLGA
			:: d == BOB -> admin = true
			:: d == BOB -> admin = true; bypass = true
			fi;
			if
			:: BARRED(d) || (again[d] && serving == FIRST) || REFUSED(d) -> goto refused
			:: else -> bypass = bypass || (!again[d] && !FORWARD(d, ref))
			fi;
			TRY(status[d] = queued; inWork[d] = true, refused)
		};
		line!d;

		/* turn: wait, and look now and then whether it can still be accepted */
#ifndef TWO_AT_ONCE
		if
		:: MYTURN(d)
		:: !MYTURN(d) && (STALE(d) || BARRED(d)) -> goto conclude
		:: !MYTURN(d) -> goto conclude /* the pusher left */
		fi;
#endif
		/* settleLeft: what an earlier one left behind, for want of a write */
#ifndef FORGET_UNSETTLED
		n = ALICE;
		do
		:: SEEK(n);
			if :: n > OLGA -> n = 0; break :: else fi;
			settle(n);
			if :: err -> err = false; n = 0; goto conclude :: else fi
		od;
#endif
		/* renew, deployment.started */
		atomic {
			if
			:: BARRED(d) || STALE(d) -> goto conclude
			:: else
			fi;
			assert(status[d] == queued);
			TRY(status[d] = running; old[d] = ref; previous[d] = serving, conclude)
		};

		/* prepare, or candidateAgain: free to fail, and to be canceled. The candidate starts while the ref
		 * is being locked. */
		if
		:: LOCK(d, discard); START(d, discard)
		:: START(d, discard); LOCK(d, discard)
		fi;

		/* try */
#ifdef EFFECT_BEFORE_INTENT
		atomic { if :: faults < FAULTS -> FAIL(RELEASE(d)); goto putBack :: MOVE(RELEASE(d)) fi };
		TRY(switched[d] = true, putBack);
#else
		TRY(switched[d] = true, putBack); /* switch.intended */
		atomic { if :: faults < FAULTS -> FAIL(RELEASE(d)); goto putBack :: MOVE(RELEASE(d)) fi };
#endif
		TRY(skip, putBack); /* switch.done */
		/* watch */
		atomic {
			if
			:: proved[d] = true
			:: bypass -> proved[d] = admin
			:: !bypass ->
#ifndef IGNORE_WATCH
				goto putBack
#endif
			fi
		};
#ifdef REF_BEFORE_ACCEPTED
		atomic { ref = RELEASE(d); lock = 0 };
#endif
		/* confirm, and the commit point */
		atomic {
			if :: traffic == RELEASE(d) :: else -> goto putBack fi;
			assert(status[d] == running);
			assert(again[d] || FORWARD(d, old[d]) || (admin && forces));
			TRY(status[d] = accepted; serving = RELEASE(d), putBack)
		};
		/* moveRef. A commit that fails has moved the ref or not. */
		atomic {
			lock = 0; assert(ref == old[d] || ref == RELEASE(d));
			if
			:: faults < FAULTS -> faults++; if :: skip :: WRITE(d) fi; goto refPending
			:: WRITE(d)
			fi
		};
		TRY(MOVED(d), settleIn);
settleIn:	atomic { if :: previous[d] != RELEASE(d) && !external -> retiring[previous[d]] = true :: else fi };
		goto leave;
refPending:	FREEZE;
		goto leave;

putBack:	atomic { if :: faults < FAULTS -> faults++; unrecorded = true :: skip fi }; /* rollback.intended */
		atomic { if :: faults < FAULTS -> FAIL(previous[d]); goto rollbackFailed :: MOVE(previous[d]) fi };
		atomic { if :: RELEASE(d) != previous[d] -> started[RELEASE(d)] = false :: else fi };
		atomic { if :: faults < FAULTS -> faults++; unrecorded = true :: rolledBack[d] = true fi }; /* rollback.done */
		if :: unrecorded -> FREEZE :: else fi;
#ifdef KEEP_PLACE
		atomic { lock = 0; TRY(END(d), refused) };
		goto refused;
#endif
discard:	clear(d);
abort:		atomic { if :: lock == d -> lock = 0 :: else fi };
conclude:	TRY(END(d), leave);
leave:		inWork[d] = false;
		line??eval(d);
refused:	goto over;

rollbackFailed:	FREEZE;
		goto abort
	} unless { life != mine };
over:	atomic {
		heard[d] = true;
		n = 0; mine = 0; admin = false; bypass = false; forces = false; unrecorded = false; err = false;
		if :: status[d] == accepted && refMoved[d] -> previous[d] = 0 :: else fi
	}
}

/* retire (retire.go): a replaced release is ended after its successor's verdict. */
proctype Retire() {
end:	do
	:: atomic { retiring[FIRST] -> started[FIRST] = false; retiring[FIRST] = false }
	:: atomic { retiring[ALICE] -> started[ALICE] = false; retiring[ALICE] = false }
	:: atomic { retiring[BOB] -> started[BOB] = false; retiring[BOB] = false }
	od
}

#define IDLE (up && len(line) == 0)

/* The operator: freezes, lifts a freeze (PutRight: not while a deployment is in work), or writes into the
 * repository past the server, which git's own lock allows only while no transaction is prepared. */
proctype Operator() {
	bool err;
	byte n;
end:	if
	:: atomic { up && !frozen -> frozen = true }
	:: atomic { lock == 0 -> ref = FOREIGN; byHand = true }
	fi;
end2:	if
	:: atomic { IDLE && frozen ->
#ifndef UNFREEZE_ONLY
			n = ALICE;
			do
			:: SEEK(n);
				if :: n > OLGA -> break :: else fi;
				settle(n);
				if :: err -> err = false; unruly = true :: else fi;
				n++
			od;
			SERVE;
			unruly = unruly || ref != serving || traffic != serving;
#endif
			frozen = false; n = 0
		}
	fi
}

/* Nobody is in work: ref, records and traffic say the same. */
#define AGREES (ref == serving && traffic == serving && kept[serving])
#define QUIET (IDLE && !frozen && !byHand && !unruly)

/* The end, where nothing more can happen. */
#define ALLHEARD (heard[ALICE] && heard[BOB] && heard[OLGA])
#define ALLENDED (!UNSETTLED(ALICE) && !UNSETTLED(BOB) && !UNSETTLED(OLGA))
#define DONE (ALLHEARD && IDLE && lock == 0 && (ALLENDED || faults > 0 || byHand))

/* It looks all the time, and has no step before the end but to fail. */
proctype Watch() {
end:	do
	:: atomic { QUIET && !AGREES -> assert(false) }
	:: atomic { !external && !started[traffic] -> assert(false) }
	:: atomic { ref != FIRST && ref != FOREIGN && status[ref] != accepted -> assert(false) }
	:: timeout -> assert(DONE); break
	od
}

init {
	atomic {
		kept[FIRST] = true; status[FIRST] = accepted; refMoved[FIRST] = true;
		if :: external = true :: started[FIRST] = true fi;
		if :: stacked = true :: true fi;
		run Server(); run Kill(); run Retire(); run Watch();
#ifdef HANDS
		kept[ALICE] = true; started[ALICE] = !external; status[ALICE] = accepted; refMoved[ALICE] = true;
		ref = ALICE; serving = ALICE; traffic = ALICE; started[FIRST] = false; heard[ALICE] = true;
#else
		run Push(ALICE);
#endif
#ifdef BACK
		heard[BOB] = true;
#else
		run Push(BOB);
#endif
#ifdef PUSHERS
		heard[OLGA] = true
#else
		run Push(OLGA)
#endif
#ifdef BACK
		; run Operator()
#endif
	}
}
