package dev.vmlet.host;

import dev.vmlet.model.HostException;
import dev.vmlet.model.InstallationId;
import dev.vmlet.model.LinkName;
import dev.vmlet.model.Seen;
import dev.vmlet.model.VmId;
import dev.vmlet.model.VmRecord;
import dev.vmlet.plan.Outcome;
import dev.vmlet.plan.Plan;
import dev.vmlet.plan.PlannedStep;
import dev.vmlet.plan.Step;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Carries plans out, step by step, and stops at the first that the host refuses: a guest needs its tap. Each step is
 * logged with its reason before it happens.
 */
public final class Applier {
    private static final Logger log = LoggerFactory.getLogger(Applier.class);

    private final Host host;
    private final StepHook hook;
    private final Runnable tapRetired;
    private final StepWatch watch;

    /** Called before the first step and after each; a test of crash safety ends the process here. */
    @FunctionalInterface
    public interface StepHook {
        void at(String subject, int stepsDone, Step next);
    }

    /** Told of what came of each step. Implementations are safe for use by several threads. */
    public interface StepWatch {
        void done(PlannedStep planned, Duration took);

        void refused(PlannedStep planned, HostException refusal);

        StepWatch NOBODY = new StepWatch() {
            @Override
            public void done(PlannedStep planned, Duration took) {}

            @Override
            public void refused(PlannedStep planned, HostException refusal) {}
        };
    }

    /** @param tapRetired called after a tap was left to be deleted, see {@link Reaper#wake} */
    public Applier(Host host, StepHook hook, Runnable tapRetired) {
        this(host, hook, tapRetired, StepWatch.NOBODY);
    }

    public Applier(Host host, StepHook hook, Runnable tapRetired, StepWatch watch) {
        this.host = host;
        this.hook = hook;
        this.tapRetired = tapRetired;
        this.watch = watch;
    }

    /** @param subject namespace/name of the object, for the log */
    public Outcome apply(String subject, Plan plan) {
        List<PlannedStep> done = new ArrayList<>();
        for (PlannedStep planned : plan.steps()) {
            hook.at(subject, done.size(), planned.step());
            if (!planned.step().bookkeeping()) {
                log.atInfo()
                        .addKeyValue("object", subject)
                        .addKeyValue("step", planned.step())
                        .addKeyValue("because", planned.because())
                        .addKeyValue("cause", planned.cause())
                        .log("applying");
            }
            long begun = System.nanoTime();
            try {
                act(planned.step());
            } catch (HostException e) {
                watch.refused(planned, e);
                List<PlannedStep> rest =
                        plan.steps().subList(done.size() + 1, plan.steps().size());
                return new Outcome(done, Optional.of(new Outcome.Failure(planned, e)), rest);
            }
            watch.done(planned, Duration.ofNanos(System.nanoTime() - begun));
            done.add(planned);
        }
        return new Outcome(done, Optional.empty(), List.of());
    }

    private void act(Step step) throws HostException {
        Links links = host.links();
        switch (step) {
            case Step.WriteNetworkRecord(var record) -> host.records().write(record);
            case Step.DeleteNetworkRecord(var uid) -> host.records().deleteNetwork(uid);
            case Step.CreateBridge(var name, var mac, var mtu, var mark) -> links.createBridge(name, mac, mtu, mark);
            case Step.SetMtu(var name, var mtu) -> links.setMtu(name, mtu);
            case Step.SetMac(var name, var mac) -> links.setMac(name, mac);
            case Step.AddAddress(var name, var address) -> links.addAddress(name, address);
            case Step.DeleteAddress(var name, var address) -> links.deleteAddress(name, address);
            case Step.SetLinkUp(var name) -> links.setUp(name);
            case Step.EnableForwarding(var name, var ours) -> enableForwarding(name, ours);
            case Step.RestoreForwarding(var name, var ours) -> restoreForwarding(name, ours);
            case Step.CreateTap(var name, var userId, var mtu, var mark) -> links.createTap(name, userId, mtu, mark);
            case Step.AttachLink(var port, var bridge) -> links.attach(port, bridge);
            case Step.SetBridgePort(var port, var flags) -> links.setBridgePort(port, flags);
            case Step.PutBehind(var port, var mac) -> links.putBehind(port, mac);
            case Step.PutNeighbour(var bridge, var address, var mac) -> links.putNeighbour(bridge, address, mac);
            case Step.DeleteNeighbour(var bridge, var address, var mac) -> links.deleteNeighbour(bridge, address, mac);
            case Step.RetireTap(var name, var mark, var group) -> {
                links.retire(name, mark, group);
                tapRetired.run();
            }
            case Step.DeleteLink(var name, var mark) -> links.delete(name, mark);
            case Step.AddElements(var elements) -> host.firewall().add(elements);
            case Step.DeleteElements(var elements) -> host.firewall().delete(elements);
            case Step.InstallFirewall(var ruleset) -> host.firewall().install(ruleset);
            case Step.WriteVmRecord(var record, var _) -> host.records().write(record);
            case Step.RebuildVmRecord(var record) -> host.records().write(record);
            case Step.DeleteVmRecord(var vm) -> {
                host.records().delete(vm);
                host.probes().forget(vm.uid());
            }
            case Step.PrepareDisk(var vm, var disk, var userId) -> host.disks().prepare(vm, disk, userId);
            case Step.WriteSeed(var vm, var seed, var userId) -> host.disks().writeSeed(vm, seed, userId);
            case Step.SpawnVmm(var launch) -> host.vmms().spawn(launch);
            case Step.RestoreLimits(var launch) -> host.vmms().restoreLimits(launch);
            case Step.ContinueVmm(var vm) -> host.vmms().continueProcess(record(vm));
            case Step.ResumeGuest(var vm) -> host.vmms().resume(record(vm));
            case Step.PressPowerButton(var vm) -> host.vmms().pressPowerButton(record(vm));
            case Step.PowerOff(var vm) -> host.vmms().powerOff(record(vm));
            case Step.Terminate(var vm) -> host.vmms().terminate(record(vm));
            case Step.Kill(var vm) -> host.vmms().kill(record(vm));
            case Step.ReleaseProcess(var vm) -> host.vmms().release(vm);
            case Step.DeleteVmFiles(var vm, var retained) -> host.disks().delete(vm, retained);
            case Step.DeleteImage(var file, var _) -> host.disks().deleteImage(file);
            case Step.AcceptInDockerUser(var uplink) -> host.docker().accept(uplink);
            case Step.WithdrawFromDockerUser _ -> host.docker().withdraw();
            case Step.DeletePartialImage(var name) -> host.disks().deletePartialImage(name);
        }
    }

    private VmRecord record(VmId vm) throws HostException {
        return switch (host.records().vm(vm.uid())) {
            case Seen.Present<VmRecord>(VmRecord record) -> record;
            case Seen.Missing<VmRecord> _ ->
                throw new HostException.Refused("VM " + vm + " has no record on this node", null);
            case Seen.Unknown<VmRecord>(String cause) -> throw new HostException.Refused(cause, null);
        };
    }

    /** The original goes to disk before the change: a crash in between leaves a marker that says the truth. */
    private void enableForwarding(LinkName name, boolean ours) throws HostException {
        if (!ours) {
            switch (host.links().forwarding(name)) {
                case Seen.Present<Boolean>(Boolean original) -> host.records().keepForwarding(name.value(), original);
                case Seen.Missing<Boolean> _ -> {
                    return;
                }
                case Seen.Unknown<Boolean>(String cause) -> throw new HostException.Refused(cause, null);
            }
        }
        host.links().setForwarding(name, true);
    }

    /**
     * The marker goes only after its value is back. Between the plan's look and the change another installation may
     * have made its first bridge and found the flag still on: it makes its bridge before it looks at the flag, and we
     * look for bridges after we change it, so that one of the two sees the other.
     */
    private void restoreForwarding(LinkName name, InstallationId ours) throws HostException {
        switch (host.records().keptForwarding(name.value())) {
            case Seen.Missing<Boolean> _ -> {
                return;
            }
            case Seen.Unknown<Boolean>(String cause) -> throw new HostException.Refused(cause, null);
            case Seen.Present<Boolean>(Boolean original) -> {
                switch (host.links().forwarding(name)) {
                    case Seen.Unknown<Boolean>(String cause) -> throw new HostException.Refused(cause, null);
                    case Seen.Present<Boolean>(Boolean present)
                    when !present.equals(original) -> host.links().setForwarding(name, original);
                    // The link is gone with its flag, or the flag is back already.
                    case Seen.Present<Boolean> _, Seen.Missing<Boolean> _ -> {}
                }
                if (!original && !Reliance.of(host.links(), ours).equals(Seen.present(List.of()))) {
                    if (host.links().forwarding(name) instanceof Seen.Present) {
                        host.links().setForwarding(name, true);
                    }
                    return;
                }
            }
        }
        host.records().forgetForwarding(name.value());
    }
}
