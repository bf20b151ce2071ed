using Fairlead.Benchmarks;
using Fairlead.Benchmarks.Simulation;

// One program with several roles, so that every process of a run is its child and nothing else must be installed.
return args switch
{
    ["upstream", var url] => await Upstream.RunAsync(url),
    ["yarp", var url, var target] => await BareProxy.RunAsync(url, target),
    ["limits"] => LimitBenchmarks.Run(),
    ["policies"] => PolicyBenchmarks.Run(),
    ["simulate", "scheduling", "--out", var folder] => await SimulateCommand.RunAsync(folder),
    ["simulate", "scheduling"] => await SimulateCommand.RunAsync(Path.Combine("docs", "plots")),
    ["run", .. var rest] => await Comparison.RunAsync(rest),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("""
        Measures Fairlead beside bare YARP and a direct call, on loopback, in one run.

          run --server <path of the published Fairlead.Server.dll> [--seconds 10] [--rounds 3] [--streams 1000] [--starts 7] [--only start|jobs|chat|batching|limits|limit-stores|cache] [--organizations 10000] [--beside <another published Fairlead.Server.dll>] [--out RESULTS.md]

          limits    Measures the reservation and settlement of one call with eight limits, in process.

          policies    Measures a dozen local rules of content policies on texts of 2 KB, in process.

          simulate scheduling [--out docs/plots]    Simulates an hour of mixed traffic in virtual time and writes its plots.

        Roles that `run` starts by itself: upstream <url>, yarp <url> <target>.
        """);
    return 2;
}
