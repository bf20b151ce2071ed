using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Fairlead.Files;

namespace Fairlead.Batches;

/// <summary>Checks all lines of an input file before any is run.</summary>
internal static class BatchCheck
{
    /// <summary>The result: the number of lines and their model, or why they cannot be run.</summary>
    internal readonly record struct Result(int Total, string Model, byte[] FirstBody, IReadOnlyList<BatchError> Faults);

    /// <param name="contents">Where the file is.</param>
    /// <param name="fileId">The file.</param>
    /// <param name="endpoint">What the batch is for.</param>
    /// <param name="maxLineBytes">Longest line.</param>
    /// <param name="alive">Called regularly during the work.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <exception cref="FileNotFoundException">The content no longer exists.</exception>
    public static async Task<Result> ReadAsync(IFileContents contents, string fileId, string endpoint, int maxLineBytes, Func<Task> alive,
        CancellationToken cancellationToken)
    {
        await using var lines = new JsonLines(contents.Open(fileId), 0, maxLineBytes);
        var faults = new List<BatchError>();
        var ids = new HashSet<UInt128>();
        var (total, model, first) = (0, "", Array.Empty<byte>());
        while (faults.Count < BatchLimits.MaxErrors && await lines.NextAsync(cancellationToken))
        {
            total++;
            if (total > BatchLimits.MaxLines)
            {
                faults.Add(new BatchError("too_many_tasks",
                    $"The file has more than {BatchLimits.MaxLines:N0} lines. Split it into several batches.", null, null));
                break;
            }
            if (total % 1000 == 0) await alive();
            if (lines.IsTooLong)
            {
                faults.Add(new BatchError("line_too_large", $"This line is longer than {maxLineBytes:N0} bytes.", null, lines.Number));
                continue;
            }
            var (line, fault) = BatchLine.Read(lines.Line.Span, endpoint, lines.Number);
            if (fault is null && line.Model.Length == 0)
            {
                fault = new BatchError("missing_required_parameter", "Missing required parameter: 'body.model'.", "body.model",
                    lines.Number);
            }

            if (fault is null && model.Length == 0)
            {
                model = line.Model;
                first = lines.Line.Slice(line.BodyStart, line.BodyLength).ToArray();
            }
            if (fault is null && line.Model != model)
            {
                fault = new BatchError("mismatched_model",
                    "All lines of a batch must name the same model; this line names a different one than the first line.", "body.model",
                    lines.Number);
            }

            if (fault is null && !ids.Add(KeyOf(line.CustomId)))
                fault = new BatchError("duplicate_custom_id", "An earlier line has the same custom_id.", "custom_id", lines.Number);
            if (fault is not null) faults.Add(fault);
        }
        if (total == 0) faults.Add(new BatchError("empty_file", "The input file has no lines.", null, null));
        return new Result(total, model, first, faults);
    }

    // Fifty thousand long ids would take too much memory.
    private static UInt128 KeyOf(string id)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(MemoryMarshal.AsBytes(id.AsSpan()), hash);
        return MemoryMarshal.Read<UInt128>(hash);
    }
}
