package dev.vmlet.model;

/** The one place that knows where files of vmlet lie. Plain text: nothing here touches the file system. */
public record HostPaths(String stateDir, String runDir) {
    public String installationFile() {
        return stateDir + "/installation";
    }

    /** Which vmlet can read this state directory. */
    public String formatFile() {
        return stateDir + "/format";
    }

    /** Space kept back for the day on which the file system is full. */
    public String reserveFile() {
        return stateDir + "/reserve";
    }

    /** Identity of the cluster this node belongs to. */
    public String clusterFile() {
        return stateDir + "/cluster";
    }

    /** This node's last word in the object store. */
    public String storeStampFile() {
        return stateDir + "/store-stamp";
    }

    /** Uids of VMs whose objects the store has not shown since it went back in time. */
    public String unseenFile() {
        return stateDir + "/store-unseen";
    }

    /** Uids that a person confirmed, of what is gone since. */
    public String spentConfirmationsFile() {
        return stateDir + "/confirmations-spent";
    }

    /** What our firewall tables looked like when they were installed. */
    public String firewallBaseline() {
        return stateDir + "/firewall.json";
    }

    /** Says that Docker's chain may have rules of ours. */
    public String dockerNote() {
        return stateDir + "/docker-user";
    }

    public String vmsDir() {
        return stateDir + "/vms";
    }

    public String vmDir(String vmUid) {
        return vmsDir() + "/" + vmUid;
    }

    public String vmRecord(String vmUid) {
        return vmDir(vmUid) + "/record.json";
    }

    public String disksDir(String vmUid) {
        return vmDir(vmUid) + "/disks";
    }

    public String disk(String vmUid, DesiredDisk disk) {
        return disksDir(vmUid) + "/" + disk.name() + (disk.role() == DesiredDisk.Role.DISK ? ".raw" : "");
    }

    public String seed(String vmUid) {
        return vmDir(vmUid) + "/seed.img";
    }

    public String serialLog(String vmUid) {
        return vmDir(vmUid) + "/serial.log";
    }

    public String vmmLog(String vmUid) {
        return vmDir(vmUid) + "/vmm.log";
    }

    public String networksDir() {
        return stateDir + "/networks";
    }

    public String networkRecord(String networkUid) {
        return networksDir() + "/" + networkUid + ".json";
    }

    /** Original forwarding flags of interfaces that are not ours. */
    public String forwardingDir() {
        return stateDir + "/forwarding";
    }

    /** Which VMs were to run when their objects were seen last. */
    public String wishesFile() {
        return stateDir + "/wishes.json";
    }

    /** There while this node is evacuated. */
    public String evacuationFile() {
        return stateDir + "/evacuation";
    }

    /** There while the VmNode of this node asks for evacuation, as far as it was seen. */
    public String evacuationWordFile() {
        return stateDir + "/evacuation-by-annotation";
    }

    /** Id of the boot that the flags in {@link #forwardingDir} were found in. */
    public String bootFile() {
        return stateDir + "/boot";
    }

    public String imagesDir() {
        return stateDir + "/images";
    }

    public String retainedDir() {
        return stateDir + "/retained";
    }

    public String binDir() {
        return stateDir + "/bin";
    }

    /** Sockets, pid and exit files of one guest process; gone with a reboot, as they must be. */
    public String vmRunDir(String vmUid) {
        return runDir + "/vms/" + vmUid;
    }
}
