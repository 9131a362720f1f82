package dev.vmlet.model;

/** Every reason that conditions and Events use, each with the one sentence it stands for. */
public enum Reason {
    AsExpected("Everything is as asked."),
    NotAssigned("No node is chosen; set spec.nodeName."),
    Assigned("This node runs it."),
    NetworkNotFound("A Network that the object names does not exist in its namespace."),
    NetworkBeingDeleted("The Network is being deleted and kept until the last VM has left it."),
    NetworkNotReady("The Network is not yet realised on this node."),
    WaitingForCidr("The controller has not chosen the Network's CIDR yet."),
    CidrOverlaps("The CIDR overlaps another Network, the host's addresses or the cluster's ranges."),
    PoolExhausted("The network pool has no free prefix left."),
    SlicesExhausted("The Network has no free slice for this node."),
    AddressesExhausted("The node's slice of the Network has no free address."),
    AddressOutsideSlice("The asked address lies outside this node's slice of the Network."),
    AddressTaken("The asked address belongs to another VM."),
    AddressReserved("The asked address is the gateway's, the network's or the broadcast address."),
    MacAddressTaken("The asked MAC address belongs to another VM of the Network."),
    RecordUnreadable("A record on this node cannot be read, so nobody can tell which addresses and user ids are free."),
    NodeLost("The node's agent has not renewed its Lease in time; its guests may still run."),
    ForeignObject("An object that is not ours bears the derived name."),
    PreparingDisks("Images are being fetched, converted or cloned."),
    ImageNotFound("The image does not exist."),
    ImageRefused("The image or its URL is not allowed."),
    ImageChecksumMismatch("The image's sha256 is not the declared one."),
    ImageFormatMismatch("The image is not in the declared format, or refers to other files."),
    ImageLargerThanDisk("The image is larger than the disk it is asked for."),
    ImageFetchFailed("The image could not be fetched; it is tried again."),
    NoSpace("The file system is full."),
    WaitingForSecret("The Secret with the user data is being read."),
    SecretNotFound("The Secret with the user data does not exist or cannot be read."),
    SecretKeyMissing("The Secret lacks the key with the user data."),
    UserDataInvalid("The user data is neither a cloud-config mapping nor a script."),
    InvalidSpec("The object asks for something that cannot be done."),
    NotEnoughMemory("The VM asks for more memory than the host has."),
    NoVirtualization("KVM does not work on this node and emulation is off."),
    VmmUnavailable("The VMM's binary is missing, not executable or not the pinned one."),
    UserIdsExhausted("The range of user ids for guests is used up."),
    WaitingForTurn("A few guests start at a time, and others are before it."),
    Starting("The guest is being started."),
    StartFailed("The VMM ended before the guest ran."),
    Running("The guest runs."),
    Stopping("The guest is being stopped."),
    Stopped("The guest is stopped, as asked."),
    BackOff("The guest ended and is started again after a pause."),
    Completed("The guest ended and is not started again."),
    Paused("The guest is paused by somebody else."),
    WriteFailed("The VMM paused the guest because the host did not take a write; it is resumed after a pause."),
    PortOpen("The readiness port answered on the guest's address."),
    PortClosed("The readiness port has not answered yet."),
    ReadinessTimeout("The readiness port did not answer in time."),
    NoProbe("Readiness is not probed, as asked."),
    NotRunning("The guest does not run."),
    CannotLook("A look at the host failed; nothing is changed until it succeeds."),
    HostRefused("The host refused a step."),
    EvidenceDisagrees("What is known about the guest process disagrees; nothing is touched."),
    Changed("The host was changed."),
    Repaired("Something ours was missing or different and was put right."),
    Contested("Somebody undoes a repair again and again; it is repeated after a pause."),
    ManifestProblem("A file of the manifest directory cannot be applied, or is gone."),
    InUse("The object is still in use."),
    Deleting("The object is being deleted."),
    GuestPoweredOff("The guest powered itself off."),
    GuestPanic("The guest's kernel panicked."),
    VmmKilled("The VMM was killed by a signal."),
    VmmExited("The VMM ended with an error."),
    OutOfMemory("The guest process exceeded its memory limit and was killed."),
    TapLost("The guest's tap was deleted under it; the guest is restarted to get a new one."),
    FirewallNotReady("The node's firewall tables are not installed yet."),
    SeccompViolation("The VMM used a system call its filter forbids."),
    HostRebooted("The host was rebooted."),
    StoppedOnRequest("The guest was stopped because it was asked for.");

    private final String sentence;

    Reason(String sentence) {
        this.sentence = sentence;
    }

    public String sentence() {
        return sentence;
    }
}
