using System.CommandLine;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Auditing;
using Fairlead.Auditing.Administration;
using Fairlead.Auditing.Chain;
using Fairlead.Auditing.Content;
using Fairlead.Configuration;
using Fairlead.Server.Hosting;
using Fairlead.Storage;
using IConfigurationSource = Fairlead.Configuration.IConfigurationSource;

namespace Fairlead.Server.Commands;

/// <summary>
/// <c>fairlead audit verify | export | checkpoints | erase | key</c>, on the store of this machine, also while a server runs. Exit codes of verify: 0 all
/// records are proven, 1 something is broken, 2 it could not be checked, 3 nothing is broken but not all is proven.
/// </summary>
internal static class AuditCommand
{
    private const int Broken = 1;
    private const int NotChecked = 2;
    private const int NotProven = 3;

    public static Command Build()
    {
        var config = new Option<string>("--config")
        {
            Description = "Configuration file that names the data folder and the database. Default FAIRLEAD_CONFIG, else fairlead.yaml in the "
                + "working directory.",
            HelpName = "path",
            Recursive = true,
        };
        var from = new Option<string?>("--from")
        {
            Description = "Check only records from this time on (RFC 3339, or a date). What is before is taken as it is.",
            HelpName = "time",
        };
        var checkpoints = new Option<string?>("--checkpoints")
        {
            Description = "File that 'audit checkpoints' has written: the records must still be as they were then.",
            HelpName = "file",
        };
        var verify = new Command("verify",
            "Prove that the audit records are complete, unchanged and in order, and name the first that is not. Exit codes: 0 all are proven, "
            + "1 something is broken, 2 it could not be checked, 3 nothing is broken but not all is proven.") { from, checkpoints };
        verify.SetAction((parsed, cancellationToken) => RunAsync(parsed, config, store =>
            VerifyAsync(store, parsed.GetValue(from), parsed.GetValue(checkpoints), cancellationToken), cancellationToken));

        var output = new Option<string>("--out")
        {
            Description = "The file; it is replaced. Keep it where nobody who can write the database can change it.",
            HelpName = "file",
            Required = true,
        };
        var export = new Command("checkpoints", "Write all signed checkpoints to a file, to be kept elsewhere.") { output };
        export.SetAction((parsed, cancellationToken) => RunAsync(parsed, config, store =>
            ExportAsync(store, parsed.GetValue(output)!, cancellationToken), cancellationToken));

        var records = AuditExportCommand.Build((parsed, work, cancellationToken) => RunAsync(parsed, config, work, cancellationToken));

        var erase = AuditEraseCommand.Build((parsed, work, cancellationToken) => RunAsync(parsed, config, work, cancellationToken));

        var key = new Command("key", "Print the public key that signs on this machine, in the format PEM.");
        key.SetAction((parsed, cancellationToken) => RunAsync(parsed, config, PrintKeyAsync, cancellationToken));
        return new Command("audit", "Verify and export the audit records; export their checkpoints; erase calls.")
        {
            config, verify, records, export, erase, key,
        };
    }

    private static async Task<int> RunAsync(
        ParseResult parsed, Option<string> config, Func<AuditStore, Task<int>> work, CancellationToken cancellationToken)
    {
        var (output, error) = (parsed.InvocationConfiguration.Output, parsed.InvocationConfiguration.Error);
        if (parsed.UnmatchedTokens.Count > 0)
        {
            // A mistyped option must not make the check a lesser one.
            await error.WriteLineAsync($"Unknown argument '{parsed.UnmatchedTokens[0]}'. Try 'fairlead audit --help'.");
            return NotChecked;
        }
        try
        {
            // Only the store and the key are read: other settings may be invalid here.
            await using var app = GatewayServer.CreateForInspection(
                ConfigurationInput.FromProcess() with { Path = parsed.GetValue(config), StoreOnly = true });
            var configuration = app.Services.GetRequiredService<IConfigurationSource>().Current;
            var folder = Path.GetFullPath(configuration.DataDirectory);
            if (configuration.Storage.Provider != StorageConfig.Postgres && !File.Exists(Path.Combine(folder, "fairlead.db")))
            {
                throw new StartException(
                    $"There is no database in {folder}. Run this where the server runs, name its folder with FAIRLEAD_DATA or --config, or start "
                    + "the server there once.");
            }
            var storage = app.Services.GetRequiredService<IStorage>();
            await storage.EnsureReadyAsync(cancellationToken);
            var keyFile = Path.Combine(folder, configuration.Audit.KeyFile ?? AuditSigner.FileName);
            using var contents = new ContentSealer(storage, app.Services.GetRequiredService<IConfigurationSource>());
            return await work(new AuditStore(storage, folder, keyFile, output, error) { Contents = contents });
        }
        catch (Exception failure)
            when (failure is ConfigurationException or StartException or StorageException or System.Data.Common.DbException or IOException
                or UnauthorizedAccessException or CryptographicException)
        {
            if (failure is IOException or UnauthorizedAccessException or CryptographicException) await error.WriteLineAsync(failure.Message);
            else StartFailure.Write(error, failure, null, start: false);
            return NotChecked;
        }
    }

    private static async Task<int> VerifyAsync(AuditStore store, string? from, string? file, CancellationToken cancellationToken)
    {
        long? first = null;
        if (from is not null)
        {
            if (!DateTimeOffset.TryParse(from, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time))
            {
                await store.Error.WriteLineAsync($"'{from}' is not a time. Use RFC 3339, such as 2026-11-23T12:30:00Z, or a date.");
                return NotChecked;
            }
            first = time.ToUnixTimeMilliseconds();
        }
        var keys = store.ReadKeys();
        var exported = new List<SignedCheckpoint>();
        if (file is not null && !ReadExport(store, file, exported, ref keys)) return NotChecked;
        var heads = new ChainHeads(Path.Combine(store.Folder, "spool"));
        var verifier = new ChainVerifier(store.Storage, keys, () => [.. heads.All()], exported, heads.LocalNodes(), store.Contents);
        var reports = await verifier.RunAsync(first, cancellationToken);
        var isWhole = true;
        foreach (var report in reports)
        {
            isWhole &= report.IsWhole;
            await WriteAsync(store.Output, report);
        }
        foreach (var (path, _) in heads.All().Where(head => head.Head is null))
        {
            isWhole = false;
            await store.Output.WriteLineAsync($"{path}: BROKEN\n  The signed head cannot be read.");
        }
        await using (var connection = await store.Storage.OpenAsync(cancellationToken))
        {
            if (await ChangeTable.AnyAsync(connection, cancellationToken))
                await store.Output.WriteLineAsync("Records of some changes are not in a chain yet; a running server adds them within seconds.");
        }
        var (summary, code) = (isWhole, reports.Count == 0, reports.All(report => report.IsProven)) switch
        {
            (false, _, _) => ("The audit records are NOT as they were written.", Broken),
            (_, true, _) => ("There are no audit records yet.", 0),
            (_, _, false) => ("Nothing is broken, but not all of the audit records are proven.", NotProven),
            _ => ("The audit records are complete.", 0),
        };
        await store.Output.WriteLineAsync(summary);
        return code;
    }

    private static async Task WriteAsync(TextWriter output, ChainReport report)
    {
        var range = report.Last == 0 ? "no records" : $"records {report.First} to {report.Last}";
        var removed = report.Removed == 0 ? "" : $", {report.Removed} removed by retention or erasure";
        if (report.RemovedUntil is { } until)
            removed += string.Create(CultureInfo.InvariantCulture, $" (the latest of {DateTimeOffset.FromUnixTimeMilliseconds(until):yyyy-MM-dd})");
        var contents = report.Contents + report.ContentsRemoved == 0 ? "" : $"; {report.Contents} content(s)";
        if (report.ContentsRemoved > 0) contents += $", {report.ContentsRemoved} removed";
        var verdict = !report.IsWhole ? "BROKEN" : report.IsProven ? "complete" : "NOT PROVEN";
        await output.WriteLineAsync($"{report.Node}: {verdict}; {range}{removed}{contents}; {report.Proofs} signed proof(s)");
        foreach (var fault in report.Faults)
            await output.WriteLineAsync(fault.Sequence is { } sequence ? $"  Record {sequence} {fault.Problem}." : $"  {Capital(fault.Problem)}.");
        if (report.FaultCount > report.Faults.Count)
            await output.WriteLineAsync($"  {report.FaultCount - report.Faults.Count} more fault(s).");
        if (report.IsWhole && report.LastProven < report.Last)
            await output.WriteLineAsync($"  Note: no signature of a trusted key covers records {report.LastProven + 1} to {report.Last} yet.");
        foreach (var note in report.Notes) await output.WriteLineAsync($"  Note: {note}.");
    }

    private static async Task<int> ExportAsync(AuditStore store, string file, CancellationToken cancellationToken)
    {
        await using var connection = await store.Storage.OpenAsync(cancellationToken);
        var keys = store.ReadKeys();
        var count = 0;
        var next = file + ".next";
        await using (var writer = new StreamWriter(next))
        {
            foreach (var id in keys.Ids)
            {
                await writer.WriteLineAsync(
                    new JsonObject { ["key_id"] = id, ["public_key"] = Convert.ToBase64String(keys.PublicKeyOf(id)) }.ToJsonString());
            }
            foreach (var chain in await ChainState.AllAsync(connection, cancellationToken))
            {
                foreach (var checkpoint in await SignedCheckpoint.OfChainAsync(connection, chain.Node, cancellationToken))
                {
                    await writer.WriteLineAsync(checkpoint.ToJson());
                    count++;
                }
            }
            foreach (var (_, head) in new ChainHeads(Path.Combine(store.Folder, "spool")).All())
            {
                if (head is null) continue;
                await writer.WriteLineAsync(head.ToJson());
                count++;
            }
        }
        File.Move(next, file, overwrite: true);
        await store.Output.WriteLineAsync($"Wrote {count} checkpoint(s) to {file}.");
        return 0;
    }

    private static bool ReadExport(AuditStore store, string file, List<SignedCheckpoint> checkpoints, ref AuditKeys keys)
    {
        var number = 0;
        foreach (var line in File.ReadLines(file))
        {
            number++;
            if (line.Length == 0) continue;
            if (PublicKeyOf(line) is { } key)
            {
                keys = keys.With(key);
            }
            else if (SignedCheckpoint.Parse(line) is { } checkpoint)
            {
                checkpoints.Add(checkpoint);
            }
            else
            {
                store.Error.WriteLine($"Line {number} of {file} is not a checkpoint. Use a file that 'fairlead audit checkpoints' has written.");
                return false;
            }
        }
        return true;
    }

    private static byte[]? PublicKeyOf(string line)
    {
        try
        {
            return JsonNode.Parse(line) is JsonObject read && read["public_key"] is JsonValue key ? Convert.FromBase64String((string)key!) : null;
        }
        catch (Exception e) when (e is JsonException or FormatException or InvalidOperationException)
        {
            return null;
        }
    }

    private static async Task<int> PrintKeyAsync(AuditStore store)
    {
        using var signer = AuditSigner.Open(store.KeyFile);
        await store.Error.WriteLineAsync($"{signer.KeyId} ({store.KeyFile})");
        await store.Output.WriteLineAsync(PemEncoding.WriteString("PUBLIC KEY", signer.PublicKey));
        return 0;
    }

    private static string Capital(string text) => char.ToUpperInvariant(text[0]) + text[1..];
}

/// <summary>What the commands on the audit records need.</summary>
internal sealed record AuditStore(IStorage Storage, string Folder, string KeyFile, TextWriter Output, TextWriter Error)
{
    /// <summary>Reads recorded contents.</summary>
    public required ContentSealer Contents { get; init; }

    public AuditKeys ReadKeys() => File.Exists(KeyFile) ? AuditKeys.Read(File.ReadAllText(KeyFile)) : AuditKeys.None;
}
