using System.Diagnostics;
using System.Runtime.CompilerServices;
using Fairlead.Auditing.Spooling;
using Fairlead.Pipeline;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Auditing.Spooling;

/// <summary>
/// This program once more, as a process of its own that writes calls to a spool until it is killed, telling on its standard output
/// what was acknowledged: <c>S id</c> for a start, <c>E id</c> for an end.
/// </summary>
internal sealed class SpoolWriterProcess : IDisposable
{
    private const string Variable = "FAIRLEAD_TEST_SPOOL_WRITER";

    private readonly Process _process;

    public SpoolWriterProcess(string root)
    {
        // The program beside this assembly, whatever the runner's own process is.
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "Fairlead.Tests.exe" : "Fairlead.Tests")) { RedirectStandardOutput = true };
        start.Environment[Variable] = root;
        _process = Process.Start(start)!;
    }

    /// <summary>Lets it write until <paramref name="lines"/> were told, kills it in the midst and returns everything it had told.</summary>
    public async Task<List<string>> KillAfterAsync(int lines, CancellationToken cancellationToken)
    {
        var told = new List<string>();
        while (told.Count < lines) told.Add(await _process.StandardOutput.ReadLineAsync(cancellationToken) ?? throw new InvalidOperationException("The writer ended by itself."));
        _process.Kill();
        while (await _process.StandardOutput.ReadLineAsync(cancellationToken) is { } line) told.Add(line);
        await _process.WaitForExitAsync(cancellationToken);
        // The last line may be cut; ids have a fixed length.
        told.RemoveAll(line => line.Length != "S gen_".Length + 26);
        return told;
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        _process.Dispose();
    }

#pragma warning disable CA2255 // The program is a test runner; this is the way in before its own entry point.
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void WriteWhenAsked()
    {
        if (Environment.GetEnvironmentVariable(Variable) is not { Length: > 0 } root) return;
        var spool = new Spool(new SpoolOptions(root) { SegmentBytes = 256 * 1024 }, TimeProvider.System, NullLogger<Spool>.Instance);
        using var output = new StreamWriter(Console.OpenStandardOutput()) { AutoFlush = true };
        // On this thread alone: others would wait for this initializer. Calls are interleaved instead.
        var open = new Queue<GatewayCall>();
        for (var i = 0; ; i++)
        {
            var call = RecordedCalls.New();
            var attempt = call.Try();
            Demand(spool.AttemptStartedAsync(call, attempt));
            output.WriteLine("S " + call.GenerationId);
            attempt.Meter.AddOutput(400);
            if (i % 3 == 0) spool.AttemptProgressed(call, attempt);
            // Some are never finished, as long streams at the moment of the kill.
            if (i % 50 != 49) open.Enqueue(call);
            if (open.Count < 8) continue;
            var ended = open.Dequeue();
            Demand(spool.CallEndedAsync(ended.End(), 200));
            output.WriteLine("E " + ended.GenerationId);
        }
    }

    private static void Demand(in ValueTask append)
    {
        if (!append.IsCompletedSuccessfully) throw new InvalidOperationException("An append to the cache is done when it returns.");
    }
}
