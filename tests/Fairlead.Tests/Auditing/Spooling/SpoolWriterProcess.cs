using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using Fairlead.Auditing;
using Fairlead.Auditing.Records;
using Fairlead.Auditing.Spooling;
using Fairlead.Pipeline;
using Microsoft.Extensions.Logging.Abstractions;

namespace Fairlead.Tests.Auditing.Spooling;

/// <summary>
/// This program in a second process, which writes calls to a spool until it is killed. It reports on its standard output what
/// was acknowledged: <c>S id</c> for a start, <c>E id</c> for an end. If it ships, it also gives back each full segment, as the shipper
/// does: <c>D id</c> reports an ended call that is in the database, <c>R id</c> one whose segment was removed after that,
/// <c>U</c> how many segments were reused.
/// </summary>
internal sealed class SpoolWriterProcess : IDisposable
{
    private const string Variable = "FAIRLEAD_TEST_SPOOL_WRITER";
    private const string ShipsVariable = "FAIRLEAD_TEST_SPOOL_SHIPS";

    private readonly Process _process;

    public SpoolWriterProcess(string root, bool ships = false)
    {
        // The program beside this assembly, whatever the runner's own process is.
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "Fairlead.Tests.exe" : "Fairlead.Tests")) { RedirectStandardOutput = true };
        start.Environment[Variable] = root;
        if (ships) start.Environment[ShipsVariable] = "1";
        _process = Process.Start(start)!;
    }

    /// <summary>Lets it write until it reported <paramref name="lines"/>, kills it and returns everything that it reported.</summary>
    public async Task<List<string>> KillAfterAsync(int lines, CancellationToken cancellationToken)
    {
        var told = new List<string>();
        while (told.Count < lines) told.Add(await _process.StandardOutput.ReadLineAsync(cancellationToken) ?? throw new InvalidOperationException("The writer ended by itself."));
        _process.Kill();
        while (await _process.StandardOutput.ReadLineAsync(cancellationToken) is { } line) told.Add(line);
        await _process.WaitForExitAsync(cancellationToken);
        // The last line may be truncated; ids have a fixed length.
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
        var ships = Environment.GetEnvironmentVariable(ShipsVariable) == "1";
        var options = new SpoolOptions(root) { SegmentBytes = ships ? 128 * 1024 : 256 * 1024 };
        var spool = new Spool(options, TimeProvider.System, NullLogger<Spool>.Instance);
        using var output = new StreamWriter(Console.OpenStandardOutput()) { AutoFlush = true };
        var shipping = new Shipping(spool, output);
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
            // Some are never finished, as long streams at the moment of the kill. Their records are copied from segment to segment, so they
            // must be few in small segments.
            if (i % 50 != 49 || (ships && i > 200)) open.Enqueue(call);
            if (open.Count < 8) continue;
            var ended = open.Dequeue();
            Demand(spool.CallEndedAsync(ended.End(), 200));
            output.WriteLine("E " + ended.GenerationId);
            if (ships) shipping.Ship();
        }
    }

    private static void Demand(in ValueTask append)
    {
        if (!append.IsCompletedSuccessfully) throw new InvalidOperationException("An append to the cache is done when it returns.");
    }

    /// <summary>What the shipper does with full segments; its standard output is the database.</summary>
    private sealed class Shipping(Spool spool, StreamWriter output)
    {
        private readonly OpenCalls _open = new() { IsLive = true };
        private long _next = spool.FirstSegment;

        public void Ship()
        {
            for (; _next < spool.End.Segment; _next++)
            {
                var ended = new List<string>();
                foreach (var entry in SpoolFile.Read(spool.Folder.PathOf(_next), _next))
                {
                    _open.Observe(entry.Type, entry.Payload, _next);
                    if (entry.Type == SpoolRecordType.CallEnded) ended.Add(SpoolReuseTests.IdOf(entry));
                }
                foreach (var id in ended) output.WriteLine("D " + id);
                foreach (var (id, start, progress) in _open.StartedUpTo(_next))
                {
                    var segment = spool.End.Segment;
                    spool.Append(SpoolRecordType.AttemptCarried, start);
                    if (progress is not null) spool.Append(SpoolRecordType.AttemptProgressed, progress);
                    _open.Moved(id, segment);
                }
                spool.Remove(_next);
                foreach (var id in ended) output.WriteLine("R " + id);
                // In the form of the other lines.
                output.WriteLine("U gen_" + spool.ReusedSegments.ToString("D26", CultureInfo.InvariantCulture));
            }
        }
    }
}
