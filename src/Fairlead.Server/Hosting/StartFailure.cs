using System.Net.Sockets;
using Fairlead.Access;
using Fairlead.Configuration;
using Fairlead.Storage;
using Microsoft.AspNetCore.Connections;
using Microsoft.Data.Sqlite;

namespace Fairlead.Server.Hosting;

/// <summary>Explains a failed start and how to fix it: plain text, no stack trace.</summary>
internal static class StartFailure
{
    public static void Write(TextWriter error, Exception failure, string? addresses, bool start = true)
    {
        if (Find<ConfigurationException>(failure) is { } configuration)
        {
            WriteErrors(error, configuration.Errors, null);
            return;
        }
        if (start) error.WriteLine("Fairlead could not start.");
        error.WriteLine(Explain(failure, addresses));
    }

    public static void WriteErrors(TextWriter output, IReadOnlyList<ConfigurationError> errors, string? path)
    {
        output.WriteLine($"The configuration{(path is null ? "" : $" {path}")} has "
            + $"{(errors.Count == 1 ? "an error" : $"{errors.Count} errors")}:");
        foreach (var error in errors)
        {
            output.WriteLine();
            output.WriteLine($"  {error.Key}{(error.Value is null ? "" : $" = {error.Value}")}");
            if (error.Source is not null)
                output.WriteLine($"    at      {error.Source}{(error.Line is null ? "" : $", line {error.Line}")}");
            output.WriteLine($"    error   {error.Problem}");
            if (error.Remedy.Length > 0) output.WriteLine($"    fix     {error.Remedy}");
        }
        output.WriteLine();
        output.WriteLine("'fairlead config check' checks it again without starting.");
    }

    private static string Explain(Exception failure, string? addresses)
    {
        var where = addresses is null ? "the address" : addresses;
        if (Find<AddressInUseException>(failure) is not null)
            return $"Another program already listens on {where}. Stop it, or choose another address: --urls http://127.0.0.1:8081";
        if (Find<SocketException>(failure) is { SocketErrorCode: SocketError.AccessDenied })
            return $"This user may not listen on {where}. Choose a port of 1024 or more: --urls http://127.0.0.1:8080";
        if (Find<SocketException>(failure) is { SocketErrorCode: SocketError.AddressNotAvailable })
            return $"This machine does not have the address {where}. Use http://127.0.0.1:8080, or http://0.0.0.0:8080 for all of them.";
        if (Find<ArgumentException>(failure) is not null
            && AdminKey.ErrorOf(Environment.GetEnvironmentVariable(AdminKey.Variable)) is { } unfit)
        {
            return unfit;
        }

        if (Find<ArgumentException>(failure) is not null
            && ClientKey.ErrorOf(Environment.GetEnvironmentVariable(ClientKey.Variable),
            AdminOf(Environment.GetEnvironmentVariable(AdminKey.Variable))) is { } unfitClient)
        {
            return unfitClient;
        }

        if (Find<StartException>(failure) is { } known) return known.Message;
        if (Find<StorageException>(failure) is { } schema) return schema.Message;
        if (Find<SqliteException>(failure) is { } sqlite)
            return $"The database in the data directory cannot be used (SQLite error {sqlite.SqliteErrorCode}). "
                + "Check free space and permissions, and that no other program uses it.";
        if (failure is FormatException or UriFormatException) return $"An address to listen on is not valid: {failure.Message}";
        return $"{failure.Message}\nFAIRLEAD_LOG_LEVEL=Debug shows where it happened.";
    }

    private static AdminKey? AdminOf(string? value) => AdminKey.ErrorOf(value) is null ? new AdminKey(value) : null;

    private static T? Find<T>(Exception? failure)
        where T : Exception
    {
        for (var current = failure; current is not null; current = current.InnerException)
        {
            if (current is T found) return found;
        }
        return null;
    }
}

/// <summary>A start that cannot continue, with a message that states the fix.</summary>
internal sealed class StartException(string message) : Exception(message);
